#!/usr/bin/env python3
"""Writes token ids by the Hugging Face `tokenizers` package, for the tests of our tokenizer.

  pip install tokenizers==0.23.3
  python make_vectors.py [SHARED]

One file per kind of tokenizer: a `tokenizer.json` trained here on the sentences below (written for
this purpose, no licence attached), hand-picked cases, and checksums over blocks of random strings
that the Swift test generates again (SplitMix64, see `random_text`). With SHARED, the folder of larger
data, also checksums over whole corpora for real vocabularies.
"""
import json
import os
import sys
import zlib

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LATER = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

CORPUS = """The ward needs twelve boxes of gloves before Friday, and they're not in the store room.
We've asked the pharmacy for 250 ml bottles; the order number is 4417-B. It's urgent!
Please call the family of the patient in room 12 and tell them that the visit moves to 15:30.
def total(values):\n\tsum = 0\n\tfor v in values:\n\t\tsum += v\n\treturn sum  # 3.14159
Der Patient hat Fieber und Kopfschmerzen; die Temperatur beträgt 38,5 °C. Größe: 1,80 m.
Le médecin préfère un café après la visite — déjà vu, n'est-ce pas ? Où êtes-vous né à Orléans ?
El niño juega mañana en el jardín; ¿cuántos años tiene? ¡Qué sorpresa!
Врач придёт завтра утром, позвоните, пожалуйста, по номеру 12-34-56.
今日は天気がいいです。猫は庭で寝ています。 病院に行きます。
오늘은 병원에 가야 합니다. 내일 다시 오세요.
هذا كتاب جديد ورقم الهاتف ٠١٢٣٤٥. नमस्ते, यह १२३ है।
The end of the line is near; the rest of the text rests on the test. I'll, you'd, he's, we're, I'm, don't.
""".split("\n") * 4


def crc_of(tokenizer, texts):
    crc = 0
    count = 0
    for text in texts:
        ids = tokenizer.encode(text).ids
        count += len(ids)
        crc = zlib.crc32(b"".join(i.to_bytes(4, "little") for i in ids), crc)
        crc = zlib.crc32(tokenizer.decode(ids, skip_special_tokens=False).encode(), crc)
        crc = zlib.crc32(b"\xff", crc)
    return crc, count


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return z ^ (z >> 31)

    def below(self, bound):
        return self.next() % bound


POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "  \t\n\r", "  ",
    "''ſsStTrReEvVmMlLdD", ".,;:!?-_()[]{}<>|/\\\"#@&*+=~`^%$", "äöüßéèêçñåøÅéı",
    "\u0300\u0301\u0302\u0308\u0323\u0327\u0345\u093c\u0f71\u3099\u05b4\u20d0\U00011935\U00011930",
    "가각힣\u1100\u1161\u11a8\u1112\u1175\u11c2", "猫今日はカキ漢字。、", "١٢٣४५६௧൧Ⅷ½²①\U00011de3\U00016ff4",
    "👩\u200d👧\ufe0f🇩🇪🏽", "\u00a0\u2003\u3000\u2028\u0085\u200b\ufeff\u00ad\u180e", "абвАБВабв",
]
WORDS = ["<|endoftext|>", "<s>", "</s>", "<mask>", "[X]", " word", "the", "WORD", "'ll", "\r\n", "▁"]


def random_text(random):
    """Up to 24 pieces, each from a pool of scalars, a list of words, or anywhere in Unicode."""
    parts = []
    for _ in range(random.below(25)):
        choice = random.below(len(POOLS) + 2)
        if choice < len(POOLS):
            pool = POOLS[choice]
            parts.append(pool[random.below(len(pool))])
        elif choice == len(POOLS):
            parts.append(WORDS[random.below(len(WORDS))])
        else:
            value = random.below(0x110000 - 0x800)
            parts.append(chr(value if value < 0xD800 else value + 0x800))
    return "".join(parts)


CASES = [
    "", " ", "  ", "\n", "\r\n", "a", "Hello world", "  leading", "trailing  ", "tab\tand\r\nline\n\n  end",
    "It's we'll THEY'D I'M 'tis don’t '' 's", "12345678 1,234.5", "x=1;y=22;;z=333\n\n\n", "naïve café",
    "cafe\u0301 Å \u212b A\u030a", "\u1112\u1161\u11ab한", "👩‍👩‍👧‍👦 🇩🇪", "a\u00a0b\u3000c\u2003\u2003d",
    "<|endoftext|>", "a <|endoftext|> b", "x<|endoftext|>y", "<s>hi</s>", "  <mask>  next", "one<mask>",
    "a [X] b", "a[X]b", "[X]", "the word WORD words Word", "▁▁ under ▁", "<0x0A> byte", "\ufffd \U0010ffff \0",
    "'ſabc", "\U000e0001\u0378", "١٢٣ ४५६", "\u200b\u200d\ufeff", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "The end of the line is near; the rest of the text rests on the test." * 3,
]


def added():
    return [
        AddedToken("<|endoftext|>", special=True, normalized=False),
        AddedToken("<s>", special=True, normalized=False),
        AddedToken("</s>", special=True, normalized=False),
        AddedToken("<mask>", special=True, normalized=False, lstrip=True, rstrip=True),
        AddedToken("[X]", special=False, normalized=False, single_word=True),
        AddedToken(" word", special=False, normalized=True),
        AddedToken("Å", special=False, normalized=True),
    ]


def byte_level(pre, normalizer=None, template=None, vocabulary=600, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    finish(tokenizer, template)
    return tokenizer


def finish(tokenizer, template):
    tokenizer.add_special_tokens([t for t in added() if t.special])
    tokenizer.add_tokens([t for t in added() if not t.special])
    if template:
        names = [p for p in template.split() if not p.startswith("$")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(n, tokenizer.token_to_id(n)) for n in names])


def byte_fallback(normalizer, pre, decoder, bytes_kept=256, **options):
    """Trained with ▁ for spaces, then given the byte tokens of SentencePiece."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    trained.train_from_iterator(
        CORPUS, trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
    model = json.loads(trained.to_str())["model"]
    vocabulary = {t: i for t, i in sorted(model["vocab"].items(), key=lambda e: e[1])}
    for byte in range(bytes_kept):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(
        vocab=vocabulary, merges=[tuple(m) for m in model["merges"]], unk_token="<unk>",
        byte_fallback=True, **options))
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoder
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    finish(tokenizer, "<s> $A </s>")
    return tokenizer


def llama2_decoder():
    return decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def kinds():
    level = pre_tokenizers.ByteLevel
    split = lambda p: pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(p), "isolated"), level(add_prefix_space=False, use_regex=False)])
    yield "gpt2", byte_level(level(add_prefix_space=False))
    yield "gpt2-prefix-space", byte_level(level(add_prefix_space=True), vocabulary=400)
    yield "gpt2-as-split", byte_level(split(GPT2), template="<s> $A", vocabulary=400)
    yield "llama3", byte_level(split(LATER % r"\p{N}{1,3}"), template="<s> $A", ignore_merges=True)
    yield "qwen2", byte_level(split(LATER % r"\p{N}"), normalizer=normalizers.NFC())
    yield "smollm", byte_level(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level(add_prefix_space=False)]))
    yield "digit-runs", byte_level(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(), level(add_prefix_space=False)]), vocabulary=400)
    yield "llama2", byte_fallback(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
        llama2_decoder(), fuse_unk=True)
    yield "metaspace-first", byte_fallback(
        None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), llama2_decoder(), fuse_unk=True)
    yield "metaspace-always", byte_fallback(
        normalizers.NFC(), pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
        decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]), bytes_kept=200, fuse_unk=True)
    yield "unknown-unfused", byte_fallback(
        None, pre_tokenizers.Metaspace(prepend_scheme="never", split=True), decoders.Metaspace(
            prepend_scheme="never"), bytes_kept=100, fuse_unk=False)


def case(tokenizer, text):
    ids = tokenizer.encode(text).ids
    return {
        "text": text, "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
        "decoded": tokenizer.decode(ids, skip_special_tokens=False),
        "skipped": tokenizer.decode(ids, skip_special_tokens=True),
    }


BLOCKS, PER_BLOCK, SEED = 20, 250, 20240607


def write(name, content):
    with open(os.path.join(HERE, name), "w") as file:
        json.dump(content, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main():
    made_by = f"tokenizers {tokenizers.__version__}, make_vectors.py"
    for name, tokenizer in kinds():
        random = SplitMix64(SEED)
        blocks = [crc_of(tokenizer, [random_text(random) for _ in range(PER_BLOCK)])[0] for _ in range(BLOCKS)]
        write(f"{name}.json", {
            "made_by": made_by, "tokenizer": json.loads(tokenizer.to_str()),
            "cases": [case(tokenizer, text) for text in CASES],
            "random": {"seed": SEED, "per_block": PER_BLOCK, "crc32": blocks},
        })
    write("trainer.json", trainer_vector(made_by))
    write("prompts.json", prompts(made_by))
    if len(sys.argv) > 1:
        write("shared.json", shared(sys.argv[1], made_by))


def trainer_vector(made_by):
    """What BPETrainer must learn from the same sentences."""
    tokenizer = byte_level(
        pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        vocabulary=700)
    model = json.loads(tokenizer.to_str())["model"]
    return {"made_by": made_by, "corpus": CORPUS, "vocabulary_size": 700,
            "vocab": model["vocab"], "merges": model["merges"]}


RECORDS = [
    {"instruction": "Name the ward.", "input": "The patient is in room 12.", "output": "Ward 3"},
    {"instruction": "Say hello.", "input": "", "output": "Hello!"},
    {"instruction": "Say hello.", "output": " Hello, with a space"},
    {"instruction": "Übersetze ins Deutsche", "input": "It's\nraining", "output": "Es regnet.\n"},
    {"instruction": "Write code", "input": "x = 1", "output": "\nprint(x)"},
]


def prompts(made_by):
    """Prompt and labels as FS-LLM makes them: one text, tokenized once with and once without the answer;
    as many tokens as the prompt alone has are left out of the loss. A missing input is an empty one."""
    rows = []
    for name, tokenizer in kinds():
        if name not in ("gpt2", "llama3"):
            continue
        for record in RECORDS:
            given = record.get("input", "")
            head = "Below is an instruction that describes a task"
            head += ", paired with an input that provides further context. " if given else ". "
            head += "Write a response that appropriately completes the request.\n\n"
            prompt = head + f"### Instruction:\n{record['instruction']}\n\n"
            prompt += f"### Input:\n{given}\n\n" if given else ""
            prompt += "### Response:"
            ids = tokenizer.encode(prompt + record["output"] + "<|endoftext|>").ids
            rows.append({"tokenizer": name, "record": record, "ids": ids,
                         "target_start": len(tokenizer.encode(prompt).ids)})
    return {"made_by": made_by, "rows": rows}


def shared(folder, made_by):
    """Checksums of whole corpora under real vocabularies; none of the data is copied."""
    gpt2 = Tokenizer(models.BPE.from_file(
        f"{folder}/data/gpt2-vocab/vocab.json", f"{folder}/data/gpt2-vocab/merges.txt"))
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    gpt2.decoder = decoders.ByteLevel()
    checkpoints = f"{folder}/reference/checkpoints"
    real = {
        "data/gpt2-vocab": gpt2,
        "data/stories260k/hf": Tokenizer.from_file(f"{folder}/data/stories260k/hf/tokenizer.json"),
        **{f"reference/checkpoints/{n}/base": Tokenizer.from_file(f"{checkpoints}/{n}/base/tokenizer.json")
           for n in ("llama", "qwen2", "gpt2")},
    }
    corpora = ["data/gsm8k/test.jsonl", "data/code-alpaca-2k/code_alpaca_2k.json"]
    corpora += [f"data/natural-instructions/client-{i:02}.test.jsonl" for i in range(0, 64, 9)]
    corpora += ["data/stories260k/README.md"]
    rows = []
    for name, tokenizer in real.items():
        for corpus in corpora:
            with open(f"{folder}/{corpus}", newline="") as file:
                text = file.read()
            # As lines, and a part of it in one piece for the long words of byte fallback.
            lines = text.split("\n")
            crc, count = crc_of(tokenizer, lines + [text[:20000]])
            rows.append({"tokenizer": name, "corpus": corpus, "tokens": count, "crc32": crc})
        random = SplitMix64(SEED + 1)
        crc, count = crc_of(tokenizer, [random_text(random) for _ in range(5000)])
        rows.append({"tokenizer": name, "corpus": "random", "tokens": count, "crc32": crc})
    return {"made_by": made_by, "random_seed": SEED + 1, "random_count": 5000, "rows": rows}


if __name__ == "__main__":
    main()
