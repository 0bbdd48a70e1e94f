"""Golden steps of the server's optimisers by PyTorch: SGD with momentum, Adam, and a falling rate.

    python make.py OUT_DIR

A round's direction d is handed to PyTorch as the gradient −d, in float64; a step is by how much the
parameter moved. The directions are formulas that the test repeats. Yogi is not in PyTorch.
"""
import json
import math
import pathlib
import sys

import torch

ROUNDS, DIMENSION = 40, 6


def direction(round, index):
    """Sizes over six orders of magnitude, changing signs, and one coordinate that is mostly zero."""
    value = 10.0 ** (index - 4) * math.sin(0.9 * round + index) * (1 + (round * round + index) % 7)
    return 0.0 if index == 5 and round % 8 else value


def steps(make, decay_rounds):
    parameter = torch.zeros(DIMENSION, dtype=torch.float64, requires_grad=True)
    optimizer = make([parameter])
    schedule = None
    if decay_rounds > 1:
        schedule = torch.optim.lr_scheduler.LinearLR(
            optimizer, start_factor=1.0, end_factor=0.1, total_iters=decay_rounds - 1)
    found = []
    for round in range(ROUNDS):
        before = parameter.detach().clone()
        parameter.grad = -torch.tensor(
            [direction(round, i) for i in range(DIMENSION)], dtype=torch.float64)
        optimizer.step()
        if schedule:
            schedule.step()
        found.append((parameter.detach() - before).tolist())
    return found


CASES = [
    ("sgd", {"learningRate": 0.5, "momentum": 0.0, "decayRounds": 0}),
    ("sgd", {"learningRate": 0.1, "momentum": 0.9, "decayRounds": 0}),
    ("sgd", {"learningRate": 0.1, "momentum": 0.7, "decayRounds": 25}),
    ("adam", {"learningRate": 0.01, "momentum": 0.9, "decayRounds": 0,
              "secondMomentum": 0.99, "epsilon": 1e-3}),
    ("adam", {"learningRate": 0.1, "momentum": 0.5, "decayRounds": 30,
              "secondMomentum": 0.999, "epsilon": 1e-6}),
]


def main():
    out = pathlib.Path(sys.argv[1])
    cases = []
    for name, s in CASES:
        def make(parameters):
            if name == "sgd":
                return torch.optim.SGD(parameters, lr=s["learningRate"], momentum=s["momentum"])
            return torch.optim.Adam(
                parameters, lr=s["learningRate"], betas=(s["momentum"], s["secondMomentum"]),
                eps=s["epsilon"])
        cases.append({"optimizer": name, "settings": s, "steps": steps(make, s["decayRounds"])})
    document = {"torch": torch.__version__, "rounds": ROUNDS, "dimension": DIMENSION, "cases": cases}
    (out / "server-optimizer.json").write_text(json.dumps(document) + "\n")


main()
