#!/usr/bin/env python3
"""Writes files as the Rust library of safetensors lays them out, for the tests of our reader and writer.

  pip install safetensors==0.8.0
  python make_golden.py > golden.json
"""
import ctypes
import json
import random

import safetensors

# Name that `TensorSpec` takes, and bits of one element.
TYPES = [
    ("bool", 8), ("uint8", 8), ("int8", 8), ("float8_e5m2", 8), ("float8_e4m3fn", 8), ("float8_e8m0fnu", 8),
    ("float8_e4m3fnuz", 8), ("float8_e5m2fnuz", 8), ("int16", 16), ("uint16", 16), ("float16", 16),
    ("bfloat16", 16), ("int32", 32), ("uint32", 32), ("float32", 32), ("complex64", 64), ("float64", 64),
    ("int64", 64), ("uint64", 64),
]
NAMES = ["a", "b.weight", "model.layers.0.q", "model.layers.10.q", "model.layers.2.q", "é\"\\\n", "z" * 40, "_", "B", "\x7f猫"]


def main():
    random.seed(20240607)
    rows = []
    for index in range(20):
        tensors = []
        for name in random.sample(NAMES, random.randint(0 if index else 1, 7)):
            kind, bits = random.choice(TYPES)
            shape = [random.choice([0, 1, 1, 2, 3, 5]) for _ in range(random.randint(0, 3))]
            count = 1
            for extent in shape:
                count *= extent
            data = bytes(random.randrange(2 if kind == "bool" else 256) for _ in range(count * bits // 8))
            buffer = ctypes.create_string_buffer(data, max(1, len(data)))
            spec = safetensors.TensorSpec(
                dtype=kind, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))
            tensors.append((name, spec, buffer, shape, data))
        metadata = random.choice([None, {"format": "pt"}, {"key \"é\"": "line\nbreak\t\x01"}])
        content = safetensors.serialize({t[0]: t[1] for t in tensors}, metadata)
        rows.append({
            "tensors": [{"name": n, "dtype": spec.dtype, "shape": s, "hex": d.hex()}
                        for n, spec, _, s, d in tensors],
            "metadata": metadata, "file": bytes(content).hex(),
        })
    print(json.dumps({"made_by": f"safetensors {safetensors.__version__}, make_golden.py", "files": rows}))


main()
