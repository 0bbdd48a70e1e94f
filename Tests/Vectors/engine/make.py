"""Golden losses, gradients and training runs of the engine, by PyTorch, transformers and peft.

    python make.py OUT_DIR [--checkpoint DIR]

Everything runs in float64, so that the figures are the yardstick and not another rounding; only the rotary
tables stay float32, because transformers computes them so.
`synthetic.json` needs nothing: weights and adapters are formulas that the test repeats. `checkpoint.json`
(with --checkpoint, a directory with base/, adapter/ and expected.json) is about a checkpoint on disk.

A tensor is recorded by its norm and by its inner product with cos(0.7·i + 1), i the row-major index:
both are small, and together they notice any wrong scale, order or transposition.
"""
import argparse
import json
import math
import pathlib
import re

import numpy
import peft
import torch
import transformers

torch.set_num_threads(1)
torch.manual_seed(0)
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def signature(tensor):
    flat = tensor.detach().reshape(-1).to(torch.float64)
    probe = torch.cos(0.7 * torch.arange(flat.numel(), dtype=torch.float64) + 1)
    return [float(flat.norm()), float(flat @ probe)]


def formula(shape, offset, scale):
    """scale·sin(0.37·i·(i mod 91) + offset), rounded to float32: what the test computes too."""
    index = numpy.arange(math.prod(shape), dtype=numpy.float64)
    values = (scale * numpy.sin(0.37 * index * (index % 91) + offset)).astype(numpy.float32)
    return torch.from_numpy(values.reshape(shape)).to(torch.float64)


def short(name):
    """Layer, module and factor of a peft parameter."""
    parts = name.split(".")
    layer = parts[parts.index("layers") + 1]
    module = next(part for part in parts if part in MODULES)
    return f"{layer}.{module}.{'A' if 'lora_A' in name else 'B'}"


def lora_parameters(model):
    return [(short(n), p) for n, p in model.named_parameters() if "lora_" in n]


def token_losses(model, tokens, start):
    ids = torch.tensor([tokens])
    logits = model(input_ids=ids).logits[0]
    losses = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
    return losses[start - 1:]


def record_gradients(model, records):
    result = []
    for record in records:
        model.zero_grad()
        loss = token_losses(model, record["tokens"], record["targetStart"]).mean()
        loss.backward()
        result.append({
            "loss": float(loss),
            "gradient": {name: signature(p.grad) for name, p in lora_parameters(model)},
        })
    return result


def batch_loss(model, records):
    return torch.cat([token_losses(model, r["tokens"], r["targetStart"]) for r in records]).mean()


def training_run(model, records, optimizer, steps, clip=None):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = batch_loss(model, records)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([p for _, p in lora_parameters(model)], clip)
        optimizer.step()
        losses.append(float(loss))
    return {"losses": losses, "parameters": {n: signature(p) for n, p in lora_parameters(model)}}


def set_lora(model):
    """A and B by formula; also restores them between runs."""
    with torch.no_grad():
        for index, (name, parameter) in enumerate(lora_parameters(model)):
            scale = 0.3 if name.endswith("A") else 0.2
            parameter.copy_(formula(tuple(parameter.shape), 0.1 * index, scale))


SYNTHETIC = [
    # name, config changes, LoRA modules, rank, alpha, rslora
    ("gqa-tied", {"num_key_value_heads": 2, "tie_word_embeddings": True}, MODULES, 3, 6, False),
    ("llama3-biased-untied",
     {"num_key_value_heads": 1, "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True,
      "rope_parameters": {"rope_type": "llama3", "rope_theta": 5000.0, "factor": 4.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 16}},
     ["k_proj", "o_proj", "down_proj"], 2, 3, True),
    ("linear-rope-mlp-only",
     {"num_key_value_heads": 4, "tie_word_embeddings": True,
      "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
     ["gate_proj", "up_proj"], 4, 4, False),
]

RECORDS = [
    {"tokens": [(7 * i * i + 3 * i + 1) % 50 for i in range(21)], "targetStart": 1},
    {"tokens": [(11 * i + 5) % 50 for i in range(9)], "targetStart": 5},
    {"tokens": [3, 41], "targetStart": 1},
    {"tokens": [(13 * i * i + 2) % 50 for i in range(33)], "targetStart": 30},
]


def synthetic():
    cases = []
    for name, changes, modules, rank, alpha, rslora in SYNTHETIC:
        values = dict(
            vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            head_dim=8, max_position_embeddings=64, rms_norm_eps=1e-5, hidden_act="silu",
            attn_implementation="eager",
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
        values.update(changes)
        base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**values)).to(torch.float64)
        with torch.no_grad():
            for index, (parameter_name, parameter) in enumerate(sorted(base.named_parameters())):
                shape = tuple(parameter.shape)
                if "norm" in parameter_name:
                    # 1 + a float32 number, rounded to float32 again: weights are float32 in the engine.
                    parameter.copy_((1 + formula(shape, 0.2 * index, 0.1)).to(torch.float32))
                else:
                    parameter.copy_(formula(shape, 0.2 * index, 0.25))
        base.zero_grad()
        batch_loss(base, RECORDS).backward()
        weights = {n: signature(p.grad) for n, p in base.named_parameters()}
        logits = base(input_ids=torch.tensor([RECORDS[0]["tokens"]])).logits[0]
        base_losses = [float(token_losses(base, r["tokens"], r["targetStart"]).mean()) for r in RECORDS]

        model = peft.get_peft_model(base, peft.LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=modules, use_rslora=rslora, lora_dropout=0.0))
        model = model.to(torch.float64)
        set_lora(model)
        case = {
            "name": name, "config": {k: v for k, v in values.items() if k != "attn_implementation"},
            "lora": {"rank": rank, "alpha": alpha, "modules": modules, "rslora": rslora},
            "records": RECORDS, "baseLosses": base_losses, "logits": signature(logits),
            "weightGradients": weights, "recordGradients": record_gradients(model, RECORDS),
        }
        parameters = [p for _, p in lora_parameters(model)]
        case["adamW"] = training_run(
            model, RECORDS,
            torch.optim.AdamW(parameters, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1), 20)
        set_lora(model)
        case["sgd"] = training_run(
            model, RECORDS, torch.optim.SGD(parameters, lr=0.1, momentum=0.9), 20, clip=0.05)
        cases.append(case)
    return cases


def checkpoint(directory):
    directory = pathlib.Path(directory)
    base = transformers.AutoModelForCausalLM.from_pretrained(
        directory / "base", dtype=torch.float32, attn_implementation="eager").to(torch.float64)
    model = peft.PeftModel.from_pretrained(base, directory / "adapter", is_trainable=True).to(torch.float64)
    expected = json.loads((directory / "expected.json").read_text())
    records = [{"tokens": ids, "targetStart": 1 + 3 * i} for i, ids in enumerate(expected["ids"])]
    result = {"records": records, "recordGradients": record_gradients(model, records)}
    parameters = [p for _, p in lora_parameters(model)]
    result["adamW"] = training_run(
        model, records,
        torch.optim.AdamW(parameters, lr=5e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0), 20)
    return result


def write(path, data):
    data["versions"] = {
        "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
    }
    text = json.dumps(data, indent=1)
    # Vectors of numbers on one line.

    text = re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    path.write_text(text + "\n")
    print("wrote", path, data["versions"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--checkpoint", type=pathlib.Path)
    arguments = parser.parse_args()
    write(arguments.out / "synthetic.json", {"cases": synthetic()})
    if arguments.checkpoint:
        write(arguments.out / "checkpoint.json", checkpoint(arguments.checkpoint))
