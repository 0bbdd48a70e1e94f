#!/usr/bin/env python3
"""Trains in a fedtrain client's place with PyTorch and peft: docs/external-trainer.md.

Needs torch, transformers, peft and safetensors. Uses a GPU if there is one.
"""
import contextlib
import json
import pathlib
import random
import sys

with contextlib.redirect_stdout(sys.stderr):  # libraries must not print into the conversation
    import peft
    import torch
    import transformers
    from safetensors.torch import save_file


def say(**message):
    print(json.dumps(message), flush=True)


def loss(model, example, device):
    tokens = torch.tensor([example["tokens"]], device=device)
    labels = tokens.clone()
    labels[0, : example["targetStart"]] = -100
    return model(tokens, labels=labels).loss


def main():
    request = json.loads(sys.stdin.readline())
    assert request["fedtrain"] == "fedtrain-trainer/1", request["fedtrain"]
    answer = pathlib.Path(request["answer"])
    examples = [json.loads(line) for line in open(request["examples"])]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with contextlib.redirect_stdout(sys.stderr):
        base = transformers.AutoModelForCausalLM.from_pretrained(request["base"], dtype=torch.float32)
        model = peft.PeftModel.from_pretrained(base, request["adapter"], is_trainable=True).to(device)
    # Without dropout: a gradient then is its record's, and nobody else's luck.
    model.eval()
    # Under ffa A stays and B learns; other rules train both, or take turns.
    factors = request["trains"].split()
    trained = {name: p for name, p in model.named_parameters() if any(f in name for f in factors)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)

    def state(values):
        """Tensors under the names of the adapter's own file."""
        with torch.no_grad():
            return {
                name.replace(".default", ""): values(name, p).detach().to("cpu", torch.float32).contiguous()
                for name, p in model.named_parameters() if "lora_" in name}

    if request["want"] == "update":
        draw = random.Random(request["seed"])
        if request["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(
                trained.values(), lr=request["learningRate"], momentum=request["momentum"])
        else:
            optimizer = torch.optim.AdamW(trained.values(), lr=request["learningRate"], weight_decay=0.0)
        order = []
        for step in range(request["steps"]):
            # Passes in new orders, cut into batches; a batch's loss is the mean over its predicted tokens.
            order = order or draw.sample(examples, len(examples))
            batch, order = order[: request["batchSize"]], order[request["batchSize"] :]
            predicted = [len(example["tokens"]) - example["targetStart"] for example in batch]
            optimizer.zero_grad()
            for example, count in zip(batch, predicted):
                (loss(model, example, device) * count / sum(predicted)).backward()
            optimizer.step()
            say(type="progress", step=step + 1, of=request["steps"])
        save_file(state(lambda _, p: p), answer / "adapter_model.safetensors")
    else:
        for index, example in enumerate(examples):
            model.zero_grad()
            loss(model, example, device).backward()
            save_file(
                state(lambda _, p: torch.zeros_like(p) if p.grad is None else p.grad),
                answer / f"gradient-{index:06d}.safetensors")
            say(type="progress", record=index + 1, of=len(examples))
    say(type="done")


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # what it is, never what it held
        say(type="error", message=type(error).__name__)
        raise
