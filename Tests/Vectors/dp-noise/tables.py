"""Makes tables.json: independent values for the table sampler, seeded noise and the grid of noise levels.

Needs mpmath. Limits of distribution functions are computed from the definitions with 120 digits.
"""

import bisect
import hashlib
import hmac
import json

import mpmath as mp

from make import chacha20_words

mp.mp.dps = 120


def masses(law, variance, reach):
    """P[X = k] for k = 0 … reach."""
    v = mp.mpf(variance[0]) / variance[1]
    if law == "skellam":
        return [mp.e ** -v * mp.besseli(k, v, maxterms=10**6) for k in range(reach + 1)]
    weights = [mp.e ** (-mp.mpf(k * k) / (2 * v)) for k in range(reach + 1)]
    # The theta series, not the sum above, so that the tail beyond the reach counts too.
    total = mp.jtheta(3, 0, mp.e ** (-1 / (2 * v)))
    return [w / total for w in weights]


def limits(law, variance, bits, reach):
    total = mp.mpf(0)
    result = []
    for k, p in enumerate(masses(law, variance, reach)):
        total += p if k == 0 else 2 * p
        result.append(int(mp.floor(total * mp.mpf(2) ** bits)))
        if result[-1] >= 2**bits - 1:
            result[-1] = 2**bits - 1
            break
    return result


def seeded_noise(seed, label, law, variance, count):
    extract = hmac.new(bytes(32), seed, hashlib.sha256).digest()
    key = hmac.new(extract, b"dp/v1/noise/" + label.encode() + b"\x01", hashlib.sha256).digest()
    table = limits(law, variance, 63, 400)
    samples = []
    for word in chacha20_words(key, count):
        k = bisect.bisect_left(table, word >> 1)
        assert table[k] != word >> 1
        samples.append(-k if word & 1 else k)
    return samples


def grid(clients, dropouts, ratio):
    """Levels 0 = j_0 < j_1 < … < j_L = T with (U − j_{i−1} − 1)/(U − j_i) ≤ ratio, as far apart as that allows."""
    levels = [0]
    while levels[-1] < dropouts:
        best = max(j for j in range(levels[-1] + 1, dropouts + 1)
                   if j == levels[-1] + 1 or (clients - levels[-1] - 1) * ratio[1] <= ratio[0] * (clients - j))
        levels.append(best)
    return levels


def text(value, digits=30):
    return mp.nstr(value, digits, strip_zeros=False)


def fraction(pair):
    return "%d/%d" % pair


def main():
    threshold_cases = [
        ("skellam", (1, 4), 63), ("skellam", (2, 1), 63), ("skellam", (2, 1), 127), ("skellam", (2500, 7), 63),
        ("skellam", (4000, 1), 63), ("discreteGaussian", (1, 4), 63), ("discreteGaussian", (100, 1), 127),
        ("discreteGaussian", (2500, 7), 63),
    ]
    thresholds = []
    for law, variance, bits in threshold_cases:
        reach = int(15 * (variance[0] / variance[1]) ** 0.5) + 40
        values = limits(law, variance, bits, reach)
        shown = sorted({k for k in [0, 1, 2, 3, 5, 8, 13, 50, 100, 400, len(values) - 2, len(values) - 1]
                        if 0 <= k < len(values)})
        thresholds.append({"law": law, "variance": fraction(variance), "bits": bits, "entries": len(values),
                           "values": {str(k): str(values[k]) for k in shown}})
    skellam = []
    for variance in [(1, 4), (2, 1), (4, 1), (100, 1)]:
        v = mp.mpf(variance[0]) / variance[1]
        skellam.append({"variance": fraction(variance),
                        "pmf": [text(p) for p in masses("skellam", variance, 5)],
                        "fourthMoment": text(v + 3 * v * v)})
    seed = bytes(range(31))
    result = {
        "thresholds": thresholds,
        "skellam": skellam,
        "seededNoise": [
            {"seed": seed.hex(), "label": label, "variance": fraction(variance),
             "samples": seeded_noise(seed, label, "skellam", variance, 24)}
            for label, variance in [("1", (2, 1)), ("2", (2, 1)), ("1", (1000, 3))]
        ],
        "grid": [
            {"clients": u, "dropouts": t, "ratio": fraction(r), "levels": grid(u, t, r)}
            for u, t, r in [(1000, 300, (21, 20)), (10, 3, (1, 1)), (10, 3, (21, 20)), (8, 2, (21, 20)),
                            (100, 40, (21, 20)), (64, 1, (21, 20)), (10000, 3000, (21, 20)), (1000, 300, (11, 10))]
        ],
    }
    with open("tables.json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


main()
