"""Shows that peft (and, for bottlenecks, adapters) loads what `fedtrain adapter export` writes, and that
`fedtrain evaluate` computes what they compute.

    python check.py FEDTRAIN_EXECUTABLE                       # torch, transformers, peft, tokenizers
    python check.py FEDTRAIN_EXECUTABLE --library adapters    # torch, transformers, adapters, tokenizers

For a tiny random Llama, Qwen2, GPT-2 and GPT-NeoX and every kind of adapter: the library makes a random
adapter, `fedtrain adapter export` reads and writes it, the library loads the result with every key consumed
and every value unchanged, and its logits on the two agree to 2e-5; the loss that `fedtrain evaluate` prints
agrees to 2e-5; where a kind can be merged, so do the logits of `fedtrain adapter merge`'s model.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import tokenizers
import torch
import transformers
from safetensors.torch import load_file

transformers.utils.logging.disable_progress_bar()
TOLERANCE = 2e-5
TEXTS = ["The quick brown fox", "naïve café, 38.5°C", "def f(x):\n\treturn x**2", "それは猫です。"]
LLAMA = dict(vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=None, eos_token_id=256)
NEOX = dict(vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, bos_token_id=None, eos_token_id=256)
BASES = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**LLAMA)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=None, eos_token_id=256)),
    "gpt-neox": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**NEOX)),
}


def fedtrain(executable, *arguments):
    result = subprocess.run([executable, *map(str, arguments), "--json"], capture_output=True, text=True)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return json.loads(result.stdout)["data"]


def save_base(name, folder):
    torch.manual_seed(1)
    model = BASES[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3).add_(0.01 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def load_base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model):
    torch.manual_seed(0)
    ids = torch.randint(0, 256, (3, 20))
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, -20:]


def mean_loss(model, tokenizer):
    total, count = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1]:].double()
        total += torch.nn.functional.cross_entropy(out[:-1], ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return total / count


def randomise(parameters):
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in parameters:
            if "ia3_l" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            else:
                parameter.copy_((0.1 if "lora_" in name else 0.3) * torch.randn_like(parameter))


def peft_kinds():
    import peft
    task = {"task_type": "CAUSAL_LM"}
    return {
        "lora": peft.LoraConfig(r=3, lora_alpha=6, **task),
        "rslora": peft.LoraConfig(r=3, lora_alpha=6, use_rslora=True, target_modules="all-linear", **task),
        "prompt": peft.PromptTuningConfig(num_virtual_tokens=4, **task),
        "p-tuning": peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=16, **task),
        "prefix": peft.PrefixTuningConfig(num_virtual_tokens=4, **task),
        "ia3": peft.IA3Config(**task),
    }


def check_peft(executable, root, base, tokenizer, kind, config):
    import peft
    made, written = root / f"{kind}-made", root / f"{kind}-written"
    model = peft.get_peft_model(load_base(base), config)
    randomise((n, p) for n, p in model.named_parameters() if p.requires_grad)
    model.save_pretrained(made)
    fedtrain(executable, "adapter", "export", made, "--base", base, "--to", written)
    first = peft.PeftModel.from_pretrained(load_base(base), made).eval()
    second = peft.PeftModel.from_pretrained(load_base(base), written).eval()
    stored = load_file(written / "adapter_model.safetensors")
    loaded = peft.get_peft_model_state_dict(second)
    assert stored.keys() == loaded.keys(), (stored.keys() ^ loaded.keys())
    for key, value in stored.items():
        assert value.dtype == torch.float32 and torch.equal(value, loaded[key]), key
    return first, second, made, written, len(stored)


def check_bottleneck(executable, root, base):
    import adapters
    made, written = root / "bottleneck-made", root / "bottleneck-written"
    model = load_base(base)
    adapters.init(model)
    model.add_adapter("site", config=adapters.SeqBnConfig(reduction_factor=4))
    model.set_active_adapters("site")
    randomise((n, p) for n, p in model.named_parameters() if ".adapters." in n)
    model.eval()
    model.save_adapter(str(made), "site", with_head=False, use_safetensors=True)
    fedtrain(executable, "adapter", "export", made, "--base", base, "--to", written)
    again = load_base(base)
    adapters.init(again)
    again.load_adapter(str(written), load_as="again", set_active=True, use_safetensors=True)
    stored = load_file(written / "adapter.safetensors")
    loaded = {k: v for k, v in again.state_dict().items() if ".adapters.again." in k}
    assert len(stored) == len(loaded), (stored.keys(), loaded.keys())
    for key, value in stored.items():
        assert torch.equal(value, loaded[key.replace(".fedtrain.", ".again.")]), key
    return model, again.eval(), made, written, len(stored)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("executable")
    parser.add_argument("--library", choices=["peft", "adapters"], default="peft")
    arguments = parser.parse_args()
    library = __import__(arguments.library)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{arguments.library} {library.__version__}")
    names = list(BASES) if arguments.library == "peft" else ["llama", "gpt2"]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            root = pathlib.Path(folder) / name
            base = root / "base"
            base.mkdir(parents=True)
            tokenizer = save_base(name, base)
            data = root / "texts.jsonl"
            data.write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
            kinds = peft_kinds() if arguments.library == "peft" else {"bottleneck": None}
            for kind, config in kinds.items():
                checked = check_peft(arguments.executable, root, base, tokenizer, kind, config) \
                    if config is not None else check_bottleneck(arguments.executable, root, base)
                first, second, made, written, keys = checked
                difference = (logits(first) - logits(second)).abs().max().item()
                expected = mean_loss(first, tokenizer)
                found = fedtrain(arguments.executable, "evaluate", "--base", base, "--adapter", made,
                                 "--data", data)["loss"]
                line = f"{name:9} {kind:10} {keys:3} keys, logits {difference:.1e}, loss {abs(found - expected):.1e}"
                assert difference <= TOLERANCE and abs(found - expected) <= TOLERANCE, line
                base_loss = fedtrain(arguments.executable, "evaluate", "--base", base, "--data", data)["loss"]
                assert abs(base_loss - expected) > 1e-3, f"{line}: the adapter changes nothing"
                if kind in ("lora", "rslora", "ia3"):
                    merged = root / f"{kind}-merged"
                    fedtrain(arguments.executable, "adapter", "merge", made, "--base", base, "--to", merged)
                    difference = (logits(first) - logits(load_base(merged))).abs().max().item()
                    assert difference <= TOLERANCE, f"{line}, merged {difference:.1e}"
                    line += f", merged {difference:.1e}"
                print(line)
    print("ok")


if __name__ == "__main__":
    main()
