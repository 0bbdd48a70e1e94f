"""Golden figures of offsite tuning by PyTorch and transformers: kept layers, distillation, plug-in.

    python make.py OUT_DIR

Models are formulas that the test repeats; everything runs in float64 but the rotary tables, which
transformers computes in float32. A tensor is recorded by its norm and by its inner product with
cos(0.7·i + 1), i the row-major index.
"""
import json
import math
import pathlib
import re
import sys

import numpy
import torch
import transformers

torch.set_num_threads(1)
LAYERS, FIRST, LAST = 7, 1, 2
RECORDS = [
    {"tokens": [(7 * i * i + 3 * i + 1) % 50 for i in range(21)], "targetStart": 1},
    {"tokens": [(11 * i + 5) % 50 for i in range(9)], "targetStart": 5},
    {"tokens": [(13 * i * i + 2) % 50 for i in range(33)], "targetStart": 30},
]


def signature(tensor):
    flat = tensor.detach().reshape(-1).to(torch.float64)
    probe = torch.cos(0.7 * torch.arange(flat.numel(), dtype=torch.float64) + 1)
    return [float(flat.norm()), float(flat @ probe)]


def formula(shape, offset, scale):
    index = numpy.arange(math.prod(shape), dtype=numpy.float64)
    values = (scale * numpy.sin(0.37 * index * (index % 91) + offset)).astype(numpy.float32)
    return torch.from_numpy(values.reshape(shape)).to(torch.float64)


def model(layers):
    configuration = transformers.LlamaConfig(
        vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, rms_norm_eps=1e-5, hidden_act="silu",
        tie_word_embeddings=True, attn_implementation="eager",
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    return transformers.LlamaForCausalLM(configuration).to(torch.float64)


def full_model():
    full = model(LAYERS)
    with torch.no_grad():
        for index, (name, parameter) in enumerate(sorted(full.named_parameters())):
            shape = tuple(parameter.shape)
            if "norm" in name:
                parameter.copy_((1 + formula(shape, 0.2 * index, 0.1)).to(torch.float32))
            else:
                parameter.copy_(formula(shape, 0.2 * index, 0.25))
    return full


def renumbered(name, layer):
    return re.sub(r"layers\.\d+\.", f"layers.{layer}.", name)


def layer_of(name):
    match = re.search(r"layers\.(\d+)\.", name)
    return int(match[1]) if match else None


def emulator(full, sources):
    small = model(len(sources))
    states = dict(full.named_parameters())
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            layer = layer_of(name)
            parameter.copy_(states[name if layer is None else renumbered(name, sources[layer])])
    return small


def uniform(keep, count, rule):
    # The two formulas in use, with Python's own round and int.
    if keep == 1:
        return [0]
    return [rule(i * (count - 1) / (keep - 1)) for i in range(keep)]


def hidden(network, tokens):
    """Streams that enter each block, without the last token, which has no successor."""
    output = network.model(input_ids=torch.tensor([tokens[:-1]]), output_hidden_states=True)
    return output.hidden_states


def distillation(full, small, sources, weights, layer_wise):
    middle = range(FIRST, len(sources) - LAST)
    if layer_wise:
        taps = [(j + 1, sources[j + 1]) for j in middle[:-1]] + [(middle.stop, LAYERS - LAST)]
    else:
        taps = [(middle.stop, LAYERS - LAST)]
    losses = {"language": 0, "output": 0, "hidden": 0}
    teacher = [hidden(full, r["tokens"]) for r in RECORDS]
    student = [hidden(small, r["tokens"]) for r in RECORDS]
    for ours, theirs in taps:
        target = torch.cat([h[theirs][0] for h in teacher]).detach()
        found = torch.cat([h[ours][0] for h in student])
        sigma = target.pow(2).mean().sqrt()
        losses["hidden"] = losses["hidden"] + ((target - found) / sigma).pow(2).mean() / len(taps)
    rows, targets, goals = [], [], []
    for record in RECORDS:
        ids, start = record["tokens"], record["targetStart"]
        inputs = torch.tensor([ids[:-1]])
        rows.append(small(input_ids=inputs).logits[0][start - 1:])
        goals.append(full(input_ids=inputs).logits[0][start - 1:].detach())
        targets += ids[start:]
    rows, goals = torch.cat(rows), torch.cat(goals)
    losses["language"] = torch.nn.functional.cross_entropy(rows, torch.tensor(targets))
    losses["output"] = torch.nn.functional.kl_div(
        rows.log_softmax(-1), goals.log_softmax(-1), reduction="batchmean", log_target=True)
    total = sum(weights[k] * losses[k] for k in losses)
    small.zero_grad()
    total.backward()
    gradient = {n: signature(p.grad) for n, p in small.named_parameters() if layer_of(n) in middle}
    return {
        "weights": weights, "layerWise": layer_wise, "total": float(total),
        **{k: float(v) for k, v in losses.items()}, "gradient": gradient,
    }


def loss(network):
    values = []
    for record in RECORDS:
        ids = torch.tensor([record["tokens"]])
        logits = network(input_ids=ids).logits[0]
        each = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
        values.append(each[record["targetStart"] - 1:])
    return float(torch.cat(values).mean())


def plug_in(full, small, sources):
    """A rank-2 change of q_proj and down_proj in the adapter blocks, in the emulator and in the full model."""
    adapted = [layer for layer in range(len(sources)) if layer < FIRST or layer >= len(sources) - LAST]
    result = {"emulatorZeroShot": loss(small), "fullZeroShot": loss(full)}
    with torch.no_grad():
        index = 0
        for layer in adapted:
            for module in ["self_attn.q_proj", "mlp.down_proj"]:
                ours = small.get_submodule(f"model.layers.{layer}.{module}").weight
                theirs = full.get_submodule(f"model.layers.{sources[layer]}.{module}").weight
                a = formula((2, ours.shape[1]), 0.2 * index, 0.3)
                b = formula((ours.shape[0], 2), 0.2 * index + 0.1, 0.2)
                ours += 2.0 * (b @ a)
                theirs += 2.0 * (b @ a)
                index += 1
    return {**result, "emulatorTuned": loss(small), "plugIn": loss(full)}


def main(out):
    torch.manual_seed(0)
    selections = [
        {"count": count, "keep": keep, "round": uniform(keep, count, round), "floor": uniform(keep, count, int)}
        for count in (1, 2, 3, 4, 7, 12, 20, 28, 44) for keep in range(1, count + 1)
    ]
    cases = []
    for keep in (2, 3):
        full = full_model()
        middle = list(range(FIRST, LAYERS - LAST))
        sources = list(range(FIRST)) + [middle[i] for i in uniform(keep, len(middle), round)] + list(
            range(LAYERS - LAST, LAYERS))
        small = emulator(full, sources)
        with torch.no_grad():
            # A nudge, so that the middle is not a copy.
            for name, parameter in small.named_parameters():
                if layer_of(name) in range(FIRST, FIRST + keep):
                    parameter.mul_(1.0625)
        runs = [
            distillation(full, small, sources, {"hidden": 1.0, "language": 0.0, "output": 0.0}, False),
            distillation(full, small, sources, {"hidden": 1.0, "language": 0.0, "output": 0.0}, True),
            distillation(full, small, sources, {"hidden": 0.5, "language": 1.0, "output": 0.25}, False),
        ]
        cases.append({"sources": sources, "runs": runs, "plugIn": plug_in(full, small, sources)})

    matrix = formula((6, 9), 0.3, 1.0).to(torch.float32)
    u, s, v = torch.linalg.svd(matrix.to(torch.float64), full_matrices=False)
    low = (u[:, :3] * s[:3]) @ v[:3]
    flat = matrix.to(torch.float64)
    step = (flat.max() - flat.min()) / 15
    grid = flat.min() + torch.round((flat - flat.min()) / step) * step
    data = {
        "selections": selections, "cases": cases, "records": RECORDS,
        "lowRank": {"values": s.tolist(), "rank3": signature(low)}, "fourBits": signature(grid),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    text = json.dumps(data, indent=1)
    text = re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (out / "offsite.json").write_text(text + "\n")


main(pathlib.Path(sys.argv[1]))
