"""Golden losses and gradients of adapters other than LoRA, by PyTorch, transformers and peft.

    python make.py OUT_DIR

Writes adapters.json. Everything runs in float64; weights and adapters are formulas (see ../engine/make.py), in
the order of the test's own layout. peft has no bottleneck adapter: there the graph is a forward hook, and
check_adapters.py holds the exported files against the `adapters` library.
"""
import argparse
import pathlib
import sys

import peft
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engine"))
from make import RECORDS, formula, signature, write  # noqa: E402

COMMON = {"attn_implementation": "eager"}
TOKENS, ENCODER, REDUCTION = 3, 10, 8
BASES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, dict(
        vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, rms_norm_eps=1e-5,
        attention_bias=True, tie_word_embeddings=True)),
    "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel, dict(
        vocab_size=50, n_embd=24, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)),
    "neox": (transformers.GPTNeoXConfig, transformers.GPTNeoXForCausalLM, dict(
        vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, attention_dropout=0.0, hidden_dropout=0.0, bos_token_id=0,
        eos_token_id=0)),
}
IA3 = {
    "llama": [("k_proj", "k_proj"), ("v_proj", "v_proj"), ("down_proj", "down_proj")],
    "gpt2": [("qkv_proj", "c_attn"), ("down_proj", "mlp.c_proj")],
    "neox": [("qkv_proj", "query_key_value"), ("down_proj", "dense_4h_to_h")],
}


def make_base(name):
    config_class, model_class, values = BASES[name]
    config = config_class(**values, **COMMON)
    base = model_class(config).to(torch.float64).eval()
    tensors = []
    with torch.no_grad():
        for index, (key, parameter) in enumerate(sorted(base.named_parameters())):
            shape = tuple(parameter.shape)
            gain = ("ln_" in key or "norm" in key) and key.endswith("weight")
            value = (1 + formula(shape, 0.2 * index, 0.1)).to(torch.float32) if gain \
                else formula(shape, 0.2 * index, 0.25)
            parameter.copy_(value)
            on_disk = key.replace("lm_head", "embed_out") if name == "neox" else key
            tensors.append({"name": on_disk, "shape": list(shape), "isGain": gain})
    return base, config, tensors


def blocks(base):
    return base.transformer.h if hasattr(base, "transformer") else (
        base.gpt_neox.layers if hasattr(base, "gpt_neox") else base.model.layers)


def interleave(tensor, heads):
    """All of q, then k, then v -> in turns, head by head."""
    return tensor.reshape(3, heads, -1).transpose(0, 1).reshape(-1)


def parameters(kind, name, model, base):
    """(name in the test's layout, parameter, to stored form, to graph form), in the layout's order."""
    same = (lambda t: t, lambda t: t)
    if kind in ("prompt", "prefix"):
        return [("prompt_embeddings", model.prompt_encoder.default.embedding.weight, *same)]
    if kind == "p-tuning":
        encoder = dict(model.prompt_encoder.default.named_parameters())
        return [(k, encoder[k], *same) for k in
                ["embedding.weight"] + [f"mlp_head.{i}.{w}" for i in (0, 2, 4) for w in ("weight", "bias")]]
    if kind == "ia3":
        result = []
        named = dict(model.named_parameters())
        for layer in range(len(blocks(base))):
            for ours, theirs in IA3[name]:
                key = next(k for k in named if f".{layer}." in k and f"{theirs}.ia3_l" in k)
                p = named[key]
                if name == "neox" and ours == "qkv_proj":
                    heads = BASES["neox"][2]["num_attention_heads"]
                    pair = (lambda t, p=p: interleave(t, heads).reshape(p.shape),
                            lambda t: t.reshape(heads, 3, -1).transpose(0, 1).reshape(-1))
                else:
                    pair = (lambda t, p=p: t.reshape(p.shape), lambda t: t.reshape(-1))
                result.append((f"{layer}.{ours}", p, *pair))
        return result
    return [(f"{layer}.{k}", p, *same) for layer, block in enumerate(blocks(base))
            for k, p in block.bottleneck.named_parameters()]


class Bottleneck(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.adapter_down = torch.nn.Sequential(torch.nn.Linear(width, width // REDUCTION), torch.nn.ReLU())
        self.adapter_up = torch.nn.Linear(width // REDUCTION, width)

    def forward(self, x):
        return x + self.adapter_up(self.adapter_down(x))


def adapted(kind, name):
    base, _, _ = make_base(name)
    task = {"task_type": "CAUSAL_LM"}
    if kind == "bottleneck":
        width = base.get_input_embeddings().weight.shape[1]
        for parameter in base.parameters():
            parameter.requires_grad_(False)
        for block in blocks(base):
            block.bottleneck = Bottleneck(width).to(torch.float64)
            block.register_forward_hook(
                lambda m, i, o: (m.bottleneck(o[0]), *o[1:]) if isinstance(o, tuple) else m.bottleneck(o))
        return base, base
    config = {
        "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=TOKENS, **task),
        "p-tuning": lambda: peft.PromptEncoderConfig(
            num_virtual_tokens=TOKENS, encoder_hidden_size=ENCODER, **task),
        "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=TOKENS, **task),
        "ia3": lambda: peft.IA3Config(**task),
    }[kind]()
    return peft.get_peft_model(base, config).to(torch.float64).eval(), base


def losses(model, record):
    ids = torch.tensor([record["tokens"]])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0][-ids.shape[1]:]
    all_losses = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
    return all_losses[record["targetStart"] - 1:]


def case(kind, name):
    model, base = adapted(kind, name)
    listed = parameters(kind, name, model, base)
    with torch.no_grad():
        for index, (_, parameter, stored, _) in enumerate(listed):
            values = formula((parameter.numel(),), 0.2 * index, 0.4)
            if kind == "ia3":
                values = (1 + values).to(torch.float32).to(torch.float64)
            parameter.copy_(stored(values).reshape(parameter.shape))
    records = []
    for record in RECORDS:
        model.zero_grad()
        loss = losses(model, record).mean()
        loss.backward()
        records.append({"loss": float(loss), "gradient": {
            key: signature(graph(p.grad)) for key, p, _, graph in listed}})
    # Greedy, one whole pass per token: no cache to be wrong.
    text = list(RECORDS[0]["tokens"][:7])
    for _ in range(8):
        ids = torch.tensor([text])
        with torch.no_grad():
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
        text.append(int(out.argmax()))
    return {"kind": kind, "base": name, "recordGradients": records, "prompt": text[:7],
            "continuation": text[7:]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    bases = []
    for name in BASES:
        base, config, tensors = make_base(name)
        bases.append({"name": name, "config": {**config.to_dict(), "dtype": "float32"}, "tensors": tensors})
    cases = [case(kind, name) for name in BASES
             for kind in ("prompt", "p-tuning", "prefix", "ia3", "bottleneck")]
    write(arguments.out / "adapters.json", {
        "bases": bases, "records": RECORDS, "cases": cases,
        "tokens": TOKENS, "encoderWidth": ENCODER, "reduction": REDUCTION})
