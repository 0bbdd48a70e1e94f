"""Golden losses, gradients and continuations of GPT-2 and GPT-NeoX, by PyTorch, transformers and peft.

    python make_families.py OUT_DIR

Writes families.json. Everything runs in float64; weights and adapters are formulas (see make.py), laid out
as the checkpoint stores them. The test writes them to a checkpoint directory and an adapter directory and
loads these, so the stored forms (GPT-2's transposed Conv1D, GPT-NeoX's q, k and v in turns) are checked too.
Gradients are recorded in the graph's form: outputs × inputs, all of q, then k, then v.
"""
import argparse
import pathlib

import peft
import torch
import transformers

from make import RECORDS, batch_loss, formula, signature, token_losses, write

COMMON = {"attn_implementation": "eager"}
GPT2 = dict(
    vocab_size=50, n_embd=24, n_layer=2, n_head=4, n_positions=64, n_inner=None,
    activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    bos_token_id=0, eos_token_id=0)
NEOX = dict(
    vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    hidden_act="gelu", rotary_pct=0.25, max_position_embeddings=64, use_parallel_residual=True,
    attention_dropout=0.0, hidden_dropout=0.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)
CASES = [
    ("gpt2", GPT2, ["c_attn", "c_proj", "c_fc"], 3, 6, False),
    ("gpt2-attention-only-erf", {**GPT2, "activation_function": "gelu", "n_inner": 40}, ["c_attn"], 2, 3, True),
    ("neox-parallel", NEOX, ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"], 3, 6, False),
    ("neox-sequential",
     {**NEOX, "use_parallel_residual": False, "rotary_pct": 1.0, "hidden_act": "gelu_new"},
     ["query_key_value"], 2, 4, False),
    # The adapter is in the feed-forward half only: the backward pass stops there in the first block.
    ("neox-parallel-mlp", NEOX, ["dense_4h_to_h"], 2, 4, False),
]


def graph_form(name, tensor, case, heads):
    """A stored tensor, or its gradient, as the graph has it."""
    if case.startswith("gpt2") and tensor.dim() == 2 and "lora" not in name and "wte" not in name \
            and "wpe" not in name:
        return tensor.T
    if "query_key_value" in name and "lora_A" not in name:
        rest = tensor.shape[1:]
        return tensor.reshape(heads, 3, -1, *rest).transpose(0, 1).reshape(tensor.shape)
    return tensor


def on_disk(name, case):
    """transformers 5 calls GPT-NeoX's head lm_head in memory and embed_out in files."""
    return name.replace("lm_head", "embed_out") if case.startswith("neox") else name


def short(name):
    return name.replace("base_model.model.", "").replace(".default", "")


def lora_parameters(model):
    return [(n, p) for n, p in model.named_parameters() if "lora_" in n]


def case(name, values, modules, rank, alpha, rslora):
    if name.startswith("gpt2"):
        config = transformers.GPT2Config(**values, **COMMON)
        base = transformers.GPT2LMHeadModel(config)
        heads = values["n_head"]
    else:
        config = transformers.GPTNeoXConfig(**values, **COMMON)
        base = transformers.GPTNeoXForCausalLM(config)
        heads = values["num_attention_heads"]
    base = base.to(torch.float64).eval()
    tensors = []
    with torch.no_grad():
        for index, (key, parameter) in enumerate(sorted(base.named_parameters())):
            shape = tuple(parameter.shape)
            gain = ("ln_" in key or "norm" in key) and key.endswith("weight")
            if gain:
                parameter.copy_((1 + formula(shape, 0.2 * index, 0.1)).to(torch.float32))
            else:
                parameter.copy_(formula(shape, 0.2 * index, 0.25))
            tensors.append({"name": on_disk(key, name), "shape": list(shape), "isGain": gain})
    base.zero_grad()
    batch_loss(base, RECORDS).backward()
    weights = {on_disk(n, name): signature(graph_form(n, p.grad, name, heads)) for n, p in base.named_parameters()}
    prompt = RECORDS[0]["tokens"][:7]
    continuation = base.generate(
        torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
    result = {
        "name": name, "config": {**config.to_dict(), "dtype": "float32"}, "tensors": tensors,
        "records": RECORDS,
        "baseLosses": [float(token_losses(base, r["tokens"], r["targetStart"]).mean()) for r in RECORDS],
        "logits": signature(base(input_ids=torch.tensor([RECORDS[0]["tokens"]])).logits[0]),
        "weightGradients": weights, "prompt": prompt,
        "continuation": continuation[0, len(prompt):].tolist(),
    }

    model = peft.get_peft_model(base, peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=modules, use_rslora=rslora, lora_dropout=0.0,
        fan_in_fan_out=name.startswith("gpt2"))).to(torch.float64).eval()
    stored = []
    with torch.no_grad():
        for index, (key, parameter) in enumerate(lora_parameters(model)):
            scale = 0.3 if "lora_A" in key else 0.2
            parameter.copy_(formula(tuple(parameter.shape), 0.1 * index, scale))
            stored.append({"name": key.replace(".default", ""), "shape": list(parameter.shape), "scale": scale})
    result["adapter"] = {
        "rank": rank, "alpha": alpha, "modules": modules, "rslora": rslora, "tensors": stored}
    result["recordGradients"] = []
    for record in RECORDS:
        model.zero_grad()
        loss = token_losses(model, record["tokens"], record["targetStart"]).mean()
        loss.backward()
        result["recordGradients"].append({
            "loss": float(loss),
            "gradient": {short(n): signature(graph_form(n, p.grad, name, heads))
                         for n, p in lora_parameters(model)}})
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    write(arguments.out / "families.json", {"cases": [case(*c) for c in CASES]})
