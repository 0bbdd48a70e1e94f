"""An independent verifier of published rounds, written from docs/transcript.md alone.

Python 3.11, standard library only; shares no code with the Swift implementation. Usage:

    python3 verify.py FILE [SERVER_KEY_HEX [AUTHORITY_KEY_HEX]]

prints one line per group of checks and `verified`, or stops at the first check that fails (exit 13).
Slow by design: every primitive is written out from its standard.
"""
import hashlib
import hmac
import os
import struct
import sys
from fractions import Fraction
from math import comb

PREFIX = b"secagg/v1/"


def require(condition, what):
    if not condition:
        print("does not verify:", what)
        sys.exit(13)


# ---- primitives ----------------------------------------------------------------------------------

def u32(i):
    return struct.pack("<I", i)


def lp(data):
    return u32(len(data)) + data


def blake(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def th(label, *parts):
    return blake(lp(PREFIX + label) + b"".join(lp(part) for part in parts))


def hkdf(salt, key, info):
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    A = (a[1] - a[0]) * (b[1] - b[0]) % P
    B = (a[1] + a[0]) * (b[1] + b[0]) % P
    C = 2 * a[3] * b[3] * D % P
    E = 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(k, a):
    result = (0, 1, 1, 0)
    while k:
        if k & 1:
            result = add(result, a)
        a = add(a, a)
        k >>= 1
    return result


BY = 4 * pow(5, P - 2, P) % P
BX = recover_x(BY, 0)
BASE = (BX, BY, 1, BX * BY % P)


def signed(key, signature, message):
    """Ed25519, RFC 8032 section 5.1.7."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = point(key), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]) % P == 0


def x25519(scalar, u):
    """RFC 7748 section 5."""
    k = int.from_bytes(scalar, "little") & ~7 & (2**255 - 1) | 2**254
    u = int.from_bytes(u, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def chacha_block(key, counter):
    """RFC 8439 section 2.3, nonce 0."""
    m = 0xFFFFFFFF
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), counter, 0, 0, 0]
    s = start[:]

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & m
            s[z] ^= s[x]
            s[z] = (s[z] << turn | s[z] >> (32 - turn)) & m

    for _ in range(10):
        quarter(0, 4, 8, 12), quarter(1, 5, 9, 13), quarter(2, 6, 10, 14), quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15), quarter(1, 6, 11, 12), quarter(2, 7, 8, 13), quarter(3, 4, 9, 14)
    return struct.pack("<16I", *((x + y) & m for x, y in zip(s, start)))


def stream(key, offset, count):
    """`count` bytes of the key stream from byte `offset`."""
    blocks = range(offset // 64, (offset + count + 63) // 64)
    return b"".join(chacha_block(key, block) for block in blocks)[offset % 64:][:count]


def merkle(leaves):
    level = [blake(b"\0" + leaf) for leaf in leaves]
    while len(level) > 1:
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level = [blake(b"\1" + pair[0] + pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


# ---- protocol buffers ----------------------------------------------------------------------------

def fields(data):
    """Field number → list of values: integers, or bytes for length-delimited and fixed fields."""
    result, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            require(at < len(data) and shift < 64, "a varint is cut off")
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 in (1, 2):
            size = 8 if tag & 7 == 1 else varint()
            require(at + size <= len(data), "a field is cut off")
            value, at = data[at:at + size], at + size
        else:
            require(False, "an unknown wire type")
        result.setdefault(tag >> 3, []).append(value)
    return result


def varints(data):
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value, shift = 0, 0
    require(shift == 0, "a packed list is cut off")
    return values


def one(message, number, default=b""):
    return message.get(number, [default])[-1]


def bits(data, count, what):
    require(len(data) == (count + 7) // 8, what + " has the wrong length")
    number = int.from_bytes(data, "little")
    require(number >> count == 0, what + " has stray bits")
    return [number >> i & 1 for i in range(count)]


# ---- graph ---------------------------------------------------------------------------------------

def tail_bound(population, marked, draws, factor, power):
    """The least m with factor · Pr[X > m] ≤ 2^−power, X hypergeometric."""
    total = comb(population, draws)
    tail, m = 0, min(marked, draws)
    while m > 0:
        tail += comb(marked, m) * comb(population - marked, draws - m)
        if tail * factor << power > total:
            return m
        m -= 1
    return 0


def least_threshold(n, k, corrupt, dropped, surviving, sigma, eta, malicious):
    removed = corrupt + dropped
    if k <= removed and n * (n - k - 1) * comb(removed, k) << (sigma + 1) >= 2 * comb(n, k):
        return None
    t1 = tail_bound(n - 1, corrupt, k, n, sigma + 1)
    t = max((k + t1) // 2 + 1 if malicious else 0, t1 + 1, 2)
    if t > k:
        return None
    below = sum(comb(surviving - 1, i) * comb(n - surviving, k - i) for i in range(t))
    return t if below * n << eta <= comb(n - 1, k) else None


def topology(n, m):
    """(k, t, ring?, window limit) of a cohort of n under manifest m."""
    corrupt = n * m["colluders"].numerator // m["colluders"].denominator
    dropped = n * m["dropouts"].numerator // m["dropouts"].denominator
    surviving = -((m["dropouts"] - 1) * n // 1)
    sigma = m["security"] + (64 if m["malicious"] else 0)
    if n >= 100:
        for k in range(2, min((3 * n - 1) // 5, n - 2) + 1, 2):
            t = least_threshold(n, k, corrupt, dropped, surviving, sigma, m["correctness"], m["malicious"])
            if t is not None:
                limit = k - 1 - tail_bound(n, corrupt, k, n * n, sigma) if m["malicious"] else None
                return k, t, True, limit
    t = (n + corrupt) // 2 + 1
    require(n - dropped >= t, "the parameters cannot survive the promised dropouts")
    return n - 1, t, False, None


def permutation(root, n):
    key, at, order = hkdf(b"", root, PREFIX + b"graph"), 0, list(range(n))
    for i in range(n - 1, 0, -1):
        while True:
            word = int.from_bytes(stream(key, at, 8), "little")
            at += 8
            if word < 2**64 - 2**64 % (i + 1):
                break
        j = word % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def windows(order, survivors, width, limit):
    """The two-gap rule, by looking at every pair of disjoint windows."""
    n = len(order)
    dropped = [1 - survivors[member] for member in order]
    sums = [sum(dropped[(i + j) % n] for j in range(width)) for i in range(n)]
    return all(sums[i] + sums[j] <= limit for i in range(n) for j in range(n)
               if width <= (j - i) % n <= n - width)


# ---- the transcript ------------------------------------------------------------------------------

def verify(path, server=None, authority=None):
    def read(suffix):
        name = path + suffix
        if not os.path.exists(name):
            print("missing:", name)
            sys.exit(66)
        with open(name, "rb") as file:
            return file.read()

    def key(suffix):
        line = read(suffix)
        require(len(line) == 65 and line.endswith(b"\n") and line[:64] == line[:64].lower(), suffix)
        try:
            return bytes.fromhex(line[:64].decode())
        except ValueError:
            require(False, suffix)

    raw = read("")
    server = server or key(".server-key")
    wire = fields(raw)

    # 1. The manifest.
    body = one(wire, 1)
    require(signed(server, one(wire, 2), th(b"manifest", bytes(32), body)), "the manifest's signature")
    read_manifest = fields(body)

    def integer(number):
        return one(read_manifest, number, 0)

    def fraction(number):
        part = fields(one(read_manifest, number))
        return Fraction(one(part, 1, 0), one(part, 2, 0))

    require(integer(1) == 1, "the protocol version")
    m = dict(
        length=integer(6), bits=integer(7), chunk=integer(8), least=integer(9), most=integer(10),
        floor=integer(11), malicious=integer(12) == 1, colluders=fraction(13), dropouts=fraction(14),
        security=integer(15), correctness=integer(16), levels=varints(one(read_manifest, 21)))
    manifest = th(b"manifest", body)

    # 2. The roster.
    roster = None
    if one(read_manifest, 18):
        data = read(".roster")
        authority = authority or key(".authority-key")
        digest = th(b"roster", data[64:])
        require(signed(authority, data[:64], digest), "the roster's signature")
        require(digest == one(read_manifest, 18), "the manifest names another roster")
        count = struct.unpack_from("<Q", data, 72)[0]
        require(len(data) == 80 + 40 * count, "the roster's length")
        roster = {struct.unpack_from("<Q", data, 80 + 40 * i)[0]: data[88 + 40 * i:120 + 40 * i]
                  for i in range(count)}
    require(roster is not None or not m["malicious"], "a malicious-server round without a roster")

    # 3. The cohort.
    entries = [fields(entry) for entry in fields(one(wire, 3)).get(1, [])]
    n = len(entries)
    require(m["least"] <= n <= m["most"], "the cohort's size")
    identities, mask_keys, ids, used = [], [], [], set()
    for entry in entries:
        advertise = one(entry, 1)
        parts = fields(advertise)
        client = struct.unpack("<Q", one(parts, 1, bytes(8)))[0]
        identity, box_key, mask_key = one(parts, 2), one(parts, 3), one(parts, 4)
        require(roster is None or roster.get(client) == identity, f"client {client} is not in the roster")
        require(signed(identity, one(entry, 2), th(b"advertise", manifest, advertise)),
                f"the announcement of client {client}")
        require(not ids or ids[-1] < client, "the cohort's order")
        require(len({identity, box_key, mask_key} - used) == 3, "a key is used twice")
        used |= {identity, box_key, mask_key}
        ids.append(client), identities.append(identity), mask_keys.append(mask_key)
    root = merkle([lp(u32(i)) + lp(one(e, 1)) + lp(one(e, 2)) for i, e in enumerate(entries)])
    session = th(b"session", manifest, root)
    k, t, ring, limit = topology(n, m)
    order = permutation(root, n) if ring else list(range(n))
    place = {member: position for position, member in enumerate(order)}

    def neighbours(member):
        if not ring:
            return [v for v in range(n) if v != member]
        offsets = [*range(-(k // 2), 0), *range(1, k // 2 + 1)]
        return [order[(place[member] + offset) % n] for offset in offsets]

    print(f"manifest, roster and cohort: {n} clients, {k} neighbours, threshold {t}")

    # 4. U2 and its commitments.
    commitments, noise_commitments = {}, {}
    for entry in wire.get(4, []):
        shared = fields(entry)
        index = one(shared, 1, 0)
        require(index < n and (not commitments or index > max(commitments)), "the order of U2")
        require(signed(identities[index], one(shared, 3), th(b"share", session, one(shared, 2))),
                f"the shares of client {ids[index]}")
        commitments[index] = one(fields(one(shared, 2)), 1)
        noise_commitments[index] = one(fields(one(shared, 2)), 3)

    # 5. Survivors, their signatures and their vectors.
    statement = one(wire, 5)
    bitmap, vectors_root = one(fields(statement), 1), one(fields(statement), 2)
    survived = bits(bitmap, n, "the bitmap")
    members = [i for i in range(n) if survived[i]]
    require(len(members) >= max(m["floor"], t), "too few survivors")
    require(all(i in commitments for i in members), "a survivor outside U2")
    require(limit is None or windows(order, survived, k // 2, limit), "the two-gap rule")
    signers = set()
    for entry in map(fields, wire.get(6, [])):
        index = one(entry, 1, 0)
        require(index < n and survived[index] and index not in signers
                and signed(identities[index], one(entry, 2), th(b"u3", session, statement)),
                "a signature over the survivors")
        signers.add(index)
    require(len(signers) >= t, "too few signatures over the survivors")
    chunks = -(-m["length"] // m["chunk"])
    headers = []
    require(len(wire.get(7, [])) == len(members), "one vector per survivor")
    for index, entry in zip(members, map(fields, wire.get(7, []))):
        header = one(entry, 1)
        require(signed(identities[index], one(entry, 2), th(b"masked", session, header)),
                f"the vector of client {ids[index]}")
        digests = one(fields(header), 1)
        require(len(digests) == 32 * chunks, "the number of chunk digests")
        headers.append([digests[i:i + 32] for i in range(0, len(digests), 32)])
    leaves = [lp(u32(i)) + lp(merkle(header)) for i, header in zip(members, headers)]
    require(merkle(leaves) == vectors_root, "the root over the vectors")
    print(f"survivors: {len(members)}, signed by {len(signers)}; {chunks} chunks each")

    # 6. Seeds and what they give: (key, added or subtracted) of every mask left in the sum.
    seeds = one(wire, 8)
    require(len(seeds) == 31 * len(commitments), "one seed per member of U2")
    masks = []
    for position, index in enumerate(sorted(commitments)):
        seed = seeds[31 * position:31 * position + 31]
        if survived[index]:
            require(th(b"commit-b", session, u32(index), seed) == commitments[index],
                    f"the self-mask seed of client {ids[index]}")
            masks.append((hkdf(session, seed, PREFIX + b"self-mask" + u32(index)), 1))
            continue
        secret = hkdf(b"", seed, PREFIX + b"mask-sk")
        base = (9).to_bytes(32, "little")
        require(x25519(secret, base) == mask_keys[index], f"the mask key of client {ids[index]}")
        for peer in neighbours(index):
            if survived[peer]:
                low, high = min(index, peer), max(index, peer)
                info = PREFIX + b"pair-mask" + u32(low) + u32(high) + mask_keys[low] + mask_keys[high]
                shared = x25519(secret, mask_keys[peer])
                require(any(shared), "a key of low order")
                masks.append((hkdf(session, shared, info), 1 if peer > index else -1))
    lost, levels = m["most"] - len(members), m["levels"]
    kept = 0 if lost == 0 else next((i + 1 for i, j in enumerate(levels) if j >= lost), len(levels))
    opened = range(kept + 1, len(levels) + 1)
    noise = one(wire, 10)
    require(len(noise) == 31 * len(members) * len(opened), "the number of noise seeds")
    pairs = [(index, level) for index in members for level in opened]
    for position, (index, level) in enumerate(pairs):
        seed = noise[31 * position:31 * position + 31]
        require(th(b"commit-noise", session, u32(index), u32(level), seed)
                == noise_commitments[index][32 * level - 32:32 * level],
                f"the noise seed of level {level} of client {ids[index]}")
    if levels:
        print(f"noise: {len(pairs)} seeds of levels {kept + 1} to {len(levels)} match their commitments")
    print(f"seeds: {len(commitments)} match what their owners announced; {len(masks)} masks to take off")

    # 7. The result and the sum.
    result_digest = one(wire, 9)
    envelope = fields(read(".result"))
    require(one(envelope, 1, 0) == 6 and one(envelope, 2) == session, "the result's kind and session")
    result = one(envelope, 3)
    require(signed(server, one(envelope, 4), th(b"result", session, result)), "the result's signature")
    parts = fields(result)
    require(one(parts, 1) == bitmap and one(parts, 2) == result_digest, "the result's survivors and digest")
    require(one(parts, 3) == th(b"log", raw), "the transcript's bytes are not those that were signed")
    total = read(".sum")
    require(len(total) == 4 * m["length"], "the sum's length")
    require(th(b"result", session, bitmap, total) == result_digest, "the sum's digest")
    total = struct.unpack("<%dI" % m["length"], total)

    # 8. Every chunk of the sum from the masked vectors.
    vectors = read(".vectors")
    sizes = [(min(m["length"], (c + 1) * m["chunk"]) - c * m["chunk"]) for c in range(chunks)]
    packed_sizes = [(size * m["bits"] + 7) // 8 for size in sizes]
    require(len(vectors) == sum(packed_sizes) * len(members), "the length of the vectors")
    ring_mask, lane = (1 << m["bits"]) - 1, 2 if m["bits"] <= 16 else 4
    for c, (size, packed_size) in enumerate(zip(sizes, packed_sizes)):
        part = [0] * size
        for position, index in enumerate(members):
            start = position * sum(packed_sizes) + sum(packed_sizes[:c])
            packed = vectors[start:start + packed_size]
            require(th(b"y-chunk", session, u32(index), u32(c), packed) == headers[position][c],
                    f"chunk {c} of client {ids[index]}")
            number = int.from_bytes(packed, "little")
            part = [x + (number >> (i * m["bits"]) & ring_mask) for i, x in enumerate(part)]
        for mask_key, sign in masks:
            data = stream(mask_key, c * m["chunk"] * lane, size * lane)
            values = struct.unpack("<%d%s" % (size, "H" if lane == 2 else "I"), data)
            part = [x - sign * value for x, value in zip(part, values)]
        published = total[c * m["chunk"]:c * m["chunk"] + size]
        require(all(x & ring_mask == y for x, y in zip(part, published)), f"chunk {c} of the sum")
    print(f"sum: {chunks} chunks recomputed")
    print("verified", blake(struct.pack("<%dI" % len(total), *total)).hex())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__)
        sys.exit(64)
    verify(sys.argv[1], *[bytes.fromhex(argument) for argument in sys.argv[2:]])
