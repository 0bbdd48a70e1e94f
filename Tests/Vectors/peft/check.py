#!/usr/bin/env python3
"""Checks that an exported adapter means in Python what it means here.

  pip install torch transformers peft tokenizers safetensors
  python check.py BASE ADAPTER [--same-as OTHER] [--texts FILE.jsonl --loss VALUE]

BASE and ADAPTER are directories. Fails unless `peft` loads the adapter with every key consumed and every
value unchanged. With --same-as, the logits of both adapters must agree to 2e-5. With --texts and
--loss, the mean loss over the predicted tokens of {"text": …} records (what `fedtrain evaluate` prints)
must agree with VALUE to 2e-5.
"""
import argparse
import json
import sys

import peft
import tokenizers
import torch
import transformers
from safetensors.torch import load_file

TOLERANCE = 2e-5


def load(base, adapter):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return peft.PeftModel.from_pretrained(model, adapter).eval()


def check_keys(model, adapter):
    stored = load_file(f"{adapter}/adapter_model.safetensors")
    loaded = peft.get_peft_model_state_dict(model)
    missing, surplus = sorted(stored.keys() - loaded.keys()), sorted(loaded.keys() - stored.keys())
    assert not missing, f"keys that peft did not consume: {missing}"
    assert not surplus, f"keys that peft needs and the file lacks: {surplus}"
    for key, value in stored.items():
        assert value.dtype == torch.float32, f"{key} is {value.dtype}"
        assert torch.equal(value, loaded[key].cpu()), f"{key} changed on loading"
    print(f"{len(stored)} keys consumed, values unchanged")


def logits(model):
    torch.manual_seed(0)
    tokens = torch.randint(0, model.config.vocab_size, (3, 40))
    with torch.no_grad():
        return model(tokens).logits


def mean_loss(model, tokenizer, path):
    total, count = 0.0, 0
    with open(path) as file:
        for line in file:
            ids = tokenizer.encode(json.loads(line)["text"]).ids
            with torch.no_grad():
                out = model(torch.tensor([ids])).logits[0, :-1].double()
            target = torch.tensor(ids[1:])
            total += torch.nn.functional.cross_entropy(out, target, reduction="sum").item()
            count += len(target)
    return total / count, count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("adapter")
    parser.add_argument("--same-as")
    parser.add_argument("--texts")
    parser.add_argument("--loss", type=float)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    model = load(arguments.base, arguments.adapter)
    check_keys(model, arguments.adapter)
    if arguments.same_as:
        difference = (logits(model) - logits(load(arguments.base, arguments.same_as))).abs().max().item()
        print(f"largest difference of logits {difference:.3g}")
        assert difference <= TOLERANCE
    if arguments.texts:
        tokenizer = tokenizers.Tokenizer.from_file(f"{arguments.base}/tokenizer.json")
        loss, count = mean_loss(model, tokenizer, arguments.texts)
        print(f"mean loss {loss:.7f} over {count} tokens")
        assert arguments.loss is None or abs(loss - arguments.loss) <= TOLERANCE, arguments.loss
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
