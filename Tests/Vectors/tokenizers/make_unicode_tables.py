#!/usr/bin/env python3
"""Writes the Unicode tables of the tokenizer as Swift sources.

Bit-exact token ids need the tables that the `tokenizers` package really uses, and its parts use
different versions of Unicode. So every scalar is put to the package itself, and the answers are
checked against Python's `unicodedata` on all scalars that both know.

  pip install tokenizers==0.23.3
  python make_unicode_tables.py ../../../Sources/Models/Tokenizer

Found with tokenizers 0.23.3: \\p{L}, \\p{N}, \\s as in Unicode 16.0, numeric characters of the
Digits splitter as in 17.0, canonical composition as in 9.0.
"""
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def regex_class(pattern):
    splitter = pre_tokenizers.Split(Regex(pattern), "removed")
    return {c for c in SCALARS if not splitter.pre_tokenize_str(chr(c))}


def digits_class():
    splitter = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in SCALARS if len(splitter.pre_tokenize_str("a" + chr(c))) == 2}


def word_class():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens([AddedToken("X", single_word=True, normalized=False)])
    return {c for c in SCALARS if not tokenizer.encode(chr(c) + "X").ids}


def category_class(initial):
    return {c for c in SCALARS if unicodedata.category(chr(c))[0] == initial}


def ranges(members):
    result = []
    for c in sorted(members):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def rows(numbers, per_row):
    lines = []
    for start in range(0, len(numbers), per_row):
        lines.append("        " + ", ".join(hex(n) for n in numbers[start:start + per_row]) + ",")
    return "\n".join(lines)


def swift_ranges(name, comment, members):
    flat = [bound for pair in ranges(members) for bound in pair]
    return f"    /// {comment}\n    static let {name}: [UInt32] = [\n{rows(flat, 10)}\n    ]\n"


HEADER = f"""// Made by Tests/Vectors/tokenizers/make_unicode_tables.py with tokenizers {tokenizers.__version__};
// do not edit by hand.
// swift-format-ignore-file
"""


def write_classes(folder):
    letters, numbers, spaces = regex_class(r"\p{L}"), regex_class(r"\p{N}"), regex_class(r"\s")
    digits, words = digits_class(), word_class()
    # Scalars that this Python knows must have the same class there.
    assigned = {c for c in SCALARS if unicodedata.category(chr(c)) != "Cn"}
    assert letters & assigned == category_class("L"), "letters"
    assert numbers & assigned == category_class("N"), "numbers"
    assert numbers <= digits, "digits"
    assert spaces == {c for c in SCALARS if chr(c).isspace()} - {0x1C, 0x1D, 0x1E, 0x1F}, "spaces"
    assert letters & assigned <= words, "words"
    body = [
        swift_ranges("letters", r"`\p{L}`, Unicode 16.0: first and last scalar of each range.", letters),
        swift_ranges("numbers", r"`\p{N}`, Unicode 16.0.", numbers),
        swift_ranges("laterNumbers", "Numeric in Unicode 17.0 and not yet in 16.0.", digits - numbers),
        swift_ranges("spaces", "White_Space.", spaces),
        swift_ranges(
            "wordsBeyond", r"`\w` (UTS 18) without what `letters` and `numbers` have.",
            words - letters - numbers),
        swift_ranges("numbersOutsideWords", r"Numbers that `\w` leaves out.", numbers - words),
    ]
    assert letters <= words, "every letter is a word character"
    text = HEADER + "\nenum UnicodeClassTables {\n" + "\n".join(body) + "}\n"
    open(f"{folder}/UnicodeClassTables.swift", "w").write(text)


def write_composition(folder):
    nfc = normalizers.NFC()
    hangul = range(0xAC00, 0xAC00 + 11172)
    decompositions, classes = [], {}
    for c in SCALARS:
        if c in hangul:
            continue
        fields = unicodedata.decomposition(chr(c)).split()
        if fields and not fields[0].startswith("<"):
            decompositions.append((c, [int(f, 16) for f in fields]))
        combining = unicodedata.combining(chr(c))
        if combining and knows_class(nfc, c, combining):
            classes[c] = combining

    table = []
    for c, parts in decompositions:
        known = nfc.normalize_str(unicodedata.normalize("NFD", chr(c)))
        if known == unicodedata.normalize("NFC", chr(c)):
            composes = len(parts) == 2 and nfc.normalize_str("".join(map(chr, parts))) == chr(c)
            table.append((c, parts[0], parts[1] if len(parts) == 2 else 0, composes))
    flat = [n for c, first, second, composes in table if composes for n in (c, first, second)]
    once = [n for c, first, second, composes in table if not composes for n in (c, first, second)]
    runs = []
    for c in sorted(classes):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == classes[c]:
            runs[-1][1] = c
        else:
            runs.append([c, c, classes[c]])
    body = f"""
/// Canonical decomposition and composition, Unicode 9.0.
enum UnicodeCompositionTables {{
    /// Triples: a scalar and the two that it is composed of; composition restores it.
    static let composed: [UInt32] = [
{rows(flat, 18)}
    ]

    /// Triples: a scalar and what replaces it for good; 0 stands for no second scalar.
    static let replaced: [UInt32] = [
{rows(once, 18)}
    ]

    /// Triples: first and last scalar of a range, and their combining class.
    static let combiningClasses: [UInt32] = [
{rows([n for run in runs for n in run], 18)}
    ]
}}
"""
    open(f"{folder}/UnicodeCompositionTables.swift", "w").write(HEADER + body)


def knows_class(nfc, c, combining):
    """Whether the package moves a mark of another class around this one.

    A higher class typed before a lower one is put after it. For the highest class of all (240, one
    scalar) there is nothing higher to move, so a lower class is moved instead.
    """
    higher = "\u0301" if combining < 230 else "\u0345"
    if combining == 240:
        return nfc.normalize_str("q" + chr(c) + "\u0301") == "q\u0301" + chr(c)
    return nfc.normalize_str("q" + higher + chr(c)) == "q" + chr(c) + higher


if __name__ == "__main__":
    print("unicodedata", unicodedata.unidata_version, "tokenizers", tokenizers.__version__)
    write_classes(sys.argv[1])
    write_composition(sys.argv[1])
