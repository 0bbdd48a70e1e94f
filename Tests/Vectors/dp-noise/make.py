"""Makes noise.json: independent values for the samplers, the encoder and the mechanism.

Needs mpmath. Everything is computed from the definitions, with 60 digits where reals occur; ChaCha20
(RFC 8439) and BLAKE2b come from this file and from Python's hashlib.
"""

import hashlib
import json
import struct

import mpmath as mp

mp.mp.dps = 60


def text(value, digits=30):
    return mp.nstr(value, digits, strip_zeros=False)


def discrete_gaussian(variance):
    variance = mp.mpf(variance[0]) / variance[1]
    reach = int(mp.ceil(mp.sqrt(variance) * 20)) + 20
    weight = lambda x: mp.e ** (-mp.mpf(x * x) / (2 * variance))
    total = 1 + 2 * mp.fsum(weight(x) for x in range(1, reach))
    second = 2 * mp.fsum(x * x * weight(x) for x in range(1, reach)) / total
    fourth = 2 * mp.fsum(x**4 * weight(x) for x in range(1, reach)) / total
    return {"pmf": [text(weight(x) / total) for x in range(6)], "variance": text(second),
            "fourthMoment": text(fourth)}


def discrete_laplace(t, s):
    b = mp.mpf(t) / s
    p = [mp.tanh(1 / (2 * b)) * mp.e ** (-x / b) for x in range(6)]
    q = mp.e ** (-1 / b)
    return {"pmf": [text(x) for x in p], "variance": text(2 * q / (1 - q) ** 2)}


def tau(variance, shares):
    v = mp.mpf(variance[0]) / variance[1]
    return 10 * mp.fsum(mp.e ** (-2 * mp.pi**2 * v * k / (k + 1)) for k in range(1, shares))


def norm_bound_squared(d, s, exponent):
    lam = mp.mpf(exponent[0]) / exponent[1]
    root = mp.sqrt(d)
    likely = s * s + mp.mpf(d) / 4 + mp.sqrt(2 * lam) * (s + root / 2)
    return max(int(mp.floor(min((s + root) ** 2, likely))), s * s + s * s // 2048)


def chacha20_words(key, count):
    """64-bit little-endian words of the ChaCha20-IETF stream with nonce 0 from block 0."""
    mask = 0xFFFFFFFF
    rotl = lambda x, n: ((x << n) | (x >> (32 - n))) & mask
    out = b""
    block = 0
    while len(out) < 8 * count:
        start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
        start += [block, 0, 0, 0]
        x = start[:]

        def quarter(a, b, c, d):
            x[a] = (x[a] + x[b]) & mask; x[d] = rotl(x[d] ^ x[a], 16)
            x[c] = (x[c] + x[d]) & mask; x[b] = rotl(x[b] ^ x[c], 12)
            x[a] = (x[a] + x[b]) & mask; x[d] = rotl(x[d] ^ x[a], 8)
            x[c] = (x[c] + x[d]) & mask; x[b] = rotl(x[b] ^ x[c], 7)

        for _ in range(10):
            quarter(0, 4, 8, 12); quarter(1, 5, 9, 13); quarter(2, 6, 10, 14); quarter(3, 7, 11, 15)
            quarter(0, 5, 10, 15); quarter(1, 6, 11, 12); quarter(2, 7, 8, 13); quarter(3, 4, 9, 14)
        out += struct.pack("<16I", *[(a + b) & mask for a, b in zip(x, start)])
        block += 1
    return [w for w in struct.unpack("<%dQ" % (len(out) // 8), out)][:count]


def labelled_digest(label, parts):
    h = hashlib.blake2b(digest_size=32)
    for part in [label.encode()] + parts:
        h.update(struct.pack("<I", len(part)))
        h.update(part)
    return h.digest()


def rotate(x, seed):
    """Dense matrices, no fast transform: the definition."""
    d = len(x)
    p = 1
    while 2 * p <= min(d, 1 << 16):
        p *= 2
    starts = list(range(0, d - p + 1, p))
    if d % p:
        starts.append(d - p)
    words = chacha20_words(labelled_digest("dp/v1/rotation", [seed]), (len(starts) * p + 63) // 64)
    x = list(x)
    for number, start in enumerate(starts):
        y = []
        for i in range(p):
            bit = number * p + i
            sign = -1 if words[bit // 64] >> (bit % 64) & 1 else 1
            y.append(sign * x[start + i])
        for i in range(p):
            x[start + i] = sum((-1) ** bin(i & j).count("1") * y[j] for j in range(p)) / float(p) ** 0.5
    return x


def main():
    variances = [(1, 4), (1, 2), (1, 1), (2, 1), (3, 1), (4, 1), (100, 1)]
    result = {
        "discreteGaussian": [
            {"sigmaSquared": "%d/%d" % v, **discrete_gaussian(v)} for v in variances
        ],
        "discreteLaplace": [
            {"t": t, "s": s, **discrete_laplace(t, s)} for t, s in [(1, 1), (2, 1), (1, 2), (3, 2), (5, 1)]
        ],
        "tau": [
            {"sigmaSquared": "%d/%d" % v, "shares": h, "value": text(tau(v, h))}
            for v, h in [((1, 4), 100), ((1, 1), 2), ((1, 1), 100), ((4, 1), 2), ((16, 1), 2), ((16, 1), 57)]
        ],
        "normBoundSquared": [
            {"dimension": d, "clipSteps": s, "roundingExponent": "%d/%d" % e, "value": str(norm_bound_squared(d, s, e))}
            for d, s, e in [
                (1, 4, (1, 2)), (7, 5, (1, 2)), (100, 40, (1, 2)), (10000, 557, (1, 2)), (65536, 1000, (1, 2)),
                (65536, 50, (1, 2)), (1 << 20, 4096, (1, 2)), (1 << 20, 512, (1, 2)), (50000, 1000, (3, 1)),
                (16, 1 << 20, (1, 2)),
            ]
        ],
        "rotation": [
            {"seed": bytes((7 * i + d) % 256 for i in range(32)).hex(),
             "input": [(3 * i * i + 5 * i + d) % 17 - 8 for i in range(d)],
             "output": rotate([(3 * i * i + 5 * i + d) % 17 - 8 for i in range(d)],
                              bytes((7 * i + d) % 256 for i in range(32)))}
            for d in [1, 2, 3, 7, 8, 13, 32, 100]
        ],
    }
    with open("noise.json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
