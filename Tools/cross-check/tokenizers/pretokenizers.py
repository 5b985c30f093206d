"""The pre-tokenizers that GGUF files name, beside the regex module (and Hugging Face's library) with the published patterns.

python3 pretokenizers.py [--seed N] [--texts N] [--only NAME]   Prints the words of texts that are cut otherwise.
python3 pretokenizers.py --fixture FILE                          Writes what the tests hold the library to.
"""

import argparse
import json
import random
import sys

import regex
from tokenizers import Regex, pre_tokenizers

import texts
from server import Martlet

CASES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
BLANKS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEAD, SIGNS = r"[^\r\n\p{L}\p{N}]?", r" ?[^\s\p{L}\p{N}]+"


def llama(digits):
    return rf"{CASES}|{LEAD}\p{{L}}+|{digits}|{SIGNS}[\r\n]*|{BLANKS}"


def o200k(digits, upper=UPPER, lower=LOWER, tail=r"[\r\n/]*", cases=CASES + "?"):
    return rf"{LEAD}{upper}*{lower}+{cases}|{LEAD}{upper}+{lower}*{cases}|{digits}|{SIGNS}{tail}|{BLANKS}"


HAN = r"(?!\p{Han})"  # Set operations are spelled in another way by each engine.
ASCII_SIGNS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
DEEPSEEK3 = ASCII_SIGNS + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + BLANKS
IDEOGRAPHS = "[一-龥぀-ゟ゠-ヿ]+"

PATTERNS = {
    "gpt-2": [GPT2], "llama-bpe": [llama(r"\p{N}{1,3}")], "qwen2": [llama(r"\p{N}")], "starcoder": [r"\p{N}", GPT2],
    "deepseek-v3": [r"\p{N}{1,3}", IDEOGRAPHS, DEEPSEEK3],
    "gpt-4o": [o200k(r"\p{N}{1,3}")], "tekken": [o200k(r"\p{N}", cases="")],
    "kimi-k2": [r"\p{Han}+|" + o200k(r"\p{N}{1,3}", f"(?:{HAN}{UPPER})", f"(?:{HAN}{LOWER})", r"[\r\n]*")],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
              "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+", DEEPSEEK3],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [rf"{CASES}|{LEAD}\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{BLANKS}"],
    "spark2_5": [r"\p{N}{1,3}", IDEOGRAPHS, ASCII_SIGNS + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+",
                 r"\p{N}"],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + IDEOGRAPHS, o200k(r"\p{N}")],
    "jais-2": [rf"{CASES}|{LEAD}\p{{L}}+|\p{{N}}{{1,3}}|{SIGNS}[\r\n]*|\s*[\r\n]+|"
               + "|".join(rf"\s{{{width}}}(?!\S)" for width in (512, 256, 128, 64, 32, 16, 8, 4)) + r"|\s{1,2}(?!\S)|\s{1}"],
    "qwen35": [rf"{CASES}|{LEAD}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{BLANKS}"],
    "minicpm5": [r"\p{N}{1,3}", llama(r"\p{N}+")],
    "ufakzeka": [rf"{LEAD}\p{{L}}+|\p{{N}}|{SIGNS}[\r\n]*|{BLANKS}"],
    "exaone-moe": [rf"{CASES}|{LEAD}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}|{SIGNS}[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "laguna": [r"[^\n]+|[\n]+", llama(r"\p{N}")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", o200k(r"\p{N}{1,3}")],
}


def cut(text, start, pattern):
    """The parts of a text, each with its start, as an isolating split leaves them."""
    parts, last = [], 0
    for match in pattern.finditer(text):
        if match.start() > last:
            parts.append((start + last, text[last:match.start()]))
        if match.group():
            parts.append((start + match.start(), match.group()))
        last = match.end()
    return parts + ([(start + last, text[last:])] if last < len(text) else [])


def by_regex(patterns, text):
    parts = [(0, text)]
    for pattern in patterns:
        parts = [part for start, piece in parts for part in cut(piece, start, pattern)]
    return [len(text[:start].encode()) for start, _ in parts]


def by_library(splitter, text):
    return [len(text[:start].encode()) for _, (start, _) in splitter.pre_tokenize_str(text)]


def blanks(rng):
    """Digits and blanks in runs of any length, among letters."""
    return "".join(rng.choice(["1", "٣", "½", " ", "\n", "a", "é", "_", ",", "中", "\t"]) * rng.randint(1, rng.choice([3, 9, 600]))
                   for _ in range(rng.randint(1, 8)))


SHOWN = ["Don't 中文字123456½ don’t! \n\n  x/y\n 12345678 İé",
         "<sentinel:12>IMGIMGABZ    z\t'S 한국어の １２３ 1234a 一a\u0301b c!\r\n",
         "～!?\n\n a  b   c    d          e ٣٤٥٦ 𝟘 ⺀!⺀ ②3"]


def write_fixture(path):
    """The first byte of each word of some texts."""
    starts = {name: [by_regex(list(map(regex.compile, spelled)), text) for text in SHOWN] for name, spelled in PATTERNS.items()}
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(found)}" for name, found in starts.items())
    with open(path, "w") as file:
        file.write('{"texts": ' + json.dumps(SHOWN) + ', "starts": {\n' + rows + "}}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--only", default="")
    parser.add_argument("--fixture")
    arguments = parser.parse_args()
    if arguments.fixture:
        return write_fixture(arguments.fixture)
    # What is unassigned to Unicode 16, the library's and Martlet's, is left out.
    everything = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
    new = {c for piece, _ in pre_tokenizers.Split(Regex(r"\p{Cn}+"), "removed", invert=True).pre_tokenize_str(everything) for c in piece}
    rng = random.Random(arguments.seed)
    samples = [texts.valid(texts.hard(rng)) for _ in range(arguments.texts)] + [blanks(rng) for _ in range(arguments.texts // 10)]
    samples = ["".join(c for c in text if c not in new) for text in samples]
    martlet = Martlet()
    bad = 0
    for name, spelled in PATTERNS.items():
        if arguments.only not in name:
            continue
        martlet.load("pre", name)
        compiled = [regex.compile(pattern) for pattern in spelled]
        library = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in spelled])
        differing = engines = 0
        for text, own in zip(samples, martlet.encodings(samples, special=False)):
            ours = [start for index, (start, _) in enumerate(own[1]) if index == 0 or own[3][index] != own[3][index - 1]]
            one, other = by_regex(compiled, text), by_library(library, text)
            engines += one != other
            if ours not in (one, other):
                differing += 1
                if differing <= 2:
                    print(f"{name}: {text!r}\nours    {ours}\nregex   {one}\nlibrary {other}", flush=True)
        bad += differing
        print(f"{name}: {differing} of {len(samples)} differ; the engines differ from one another in {engines}", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
