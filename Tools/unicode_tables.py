"""Writes Sources/Tokenizers/Unicode/UnicodeData.swift: Unicode as Hugging Face tokenizers 0.23.3 sees it.

The reference mixes the tables of five libraries (Oniguruma, Rust's standard library, unicode_categories,
unicode-normalization-alignments, unicode-segmentation), each of another Unicode version. So the tables are
probed from the library itself, scalar by scalar, rather than read from one version of the standard.

    python3 Tools/unicode_tables.py      (needs: tokenizers==0.23.3 regex)
"""
import pathlib
import unicodedata

import regex
from tokenizers import Regex
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, SCALARS))

CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"]


def kept(pre_tokenizer):
    return {ord(c) for piece, _ in pre_tokenizer.pre_tokenize_str(TEXT) for c in piece}


def matching(pattern):
    return kept(P.Split(Regex(f"(?:{pattern})+"), "removed", invert=True))


def removed(normalizer):
    return {c for c in SCALARS if normalizer.normalize_str("\u2014" + chr(c)) == "\u2014"}


def digits(value):
    """An unsigned number in groups of five bits, low first, 32 marking that more follow, as printable ASCII."""
    out = ""
    while True:
        group, value = value & 31, value >> 5
        code = group | (32 if value else 0)
        out += "~" if code == 44 else chr(48 + code)
        if not value:
            return out


def runs(values):
    out, start = "", 0
    while start < len(values):
        end = start
        while end < len(values) and values[end] == values[start]:
            end += 1
        out += digits(end - start) + digits(values[start])
        start = end
    return out


def properties():
    values = [CATEGORIES.index("Cn")] * 0x110000
    for index, name in enumerate(CATEGORIES):
        if name != "Cs":
            for c in matching(rf"\p{{{name}}}"):
                values[c] = index
    for c in range(0xD800, 0xE000):
        values[c] = CATEGORIES.index("Cs")

    def mark(bit, members):
        for c in members:
            values[c] |= 1 << bit

    everything = set(SCALARS)
    space = everything - kept(P.WhitespaceSplit())
    mark(5, space)
    numeric = {ord(p) for p, _ in P.Digits(individual_digits=True).pre_tokenize_str("\u2014".join(map(chr, SCALARS)) + "x")
               if len(p) == 1}
    mark(6, {c for c in numeric if len(P.Digits(True).pre_tokenize_str("a" + chr(c))) == 2})
    mark(7, everything - kept(P.Punctuation("removed")))
    mark(8, removed(N.BertNormalizer(True, False, False, False)))
    accents = removed(N.BertNormalizer(False, False, True, False))
    mark(9, {c for c in accents if N.NFD().normalize_str(chr(c)) == chr(c)})
    mark(10, removed(N.StripAccents()))
    words = {c for c in everything - space if len(P.Whitespace().pre_tokenize_str("a" + chr(c))) == 1}
    mark(11, words)
    return values


# Marks of Unicode 17, which the regex module knows and the library's segmentation does not (seen by joining each to a letter that
# its compiled maps replace).
TOO_NEW = {0x5C8, 0x5C9, 0xB53, 0xB54, 0x1ADE, 0x1ADF, *range(0x1AEC, 0x1AF1)}


def grapheme_breaks():
    """The property Grapheme_Cluster_Break, with Extended_Pictographic and the Indic conjunct classes added."""
    names = ["Other", "CR", "LF", "Control", "Extend", "ZWJ", "Regional_Indicator", "Prepend", "SpacingMark",
             "L", "V", "T", "LV", "LVT"]
    values = [0] * 0x110000
    for index, name in enumerate(names):
        if index:
            pattern = regex.compile(rf"\p{{GCB={name}}}")
            for match in pattern.finditer(TEXT):
                values[ord(match.group())] = index
    for match in regex.finditer(r"\p{Extended_Pictographic}", TEXT):
        if values[ord(match.group())] == 0:
            values[ord(match.group())] = 14
    for name, bit in (("Consonant", 16), ("Linker", 32), ("Extend", 48)):
        for match in regex.finditer(rf"\p{{InCB={name}}}", TEXT):
            values[ord(match.group())] |= bit
    for c in TOO_NEW:
        values[c] = 0
    return values


def mapping(changes):
    """Scalars that map to others: the distance from the one before, the length, and the scalars it becomes."""
    out, last = "", 0
    for c in sorted(changes):
        target = changes[c]
        out += digits(c - last) + digits(len(target)) + "".join(digits(ord(t)) for t in target)
        last = c
    return out


def lowercase():
    lower = N.Lowercase()
    return {c: lower.normalize_str(chr(c)) for c in SCALARS if lower.normalize_str(chr(c)) != chr(c)}


def decompositions(normalizer, other=None):
    changes = {}
    for c in SCALARS:
        if 0xAC00 <= c <= 0xD7A3:
            continue
        text = normalizer.normalize_str(chr(c))
        if text != (other.get(c, chr(c)) if other is not None else chr(c)):
            changes[c] = text
    return changes


def combining_classes():
    values = [0] * 0x110000
    nfd = N.NFD()
    for c in SCALARS:
        order = unicodedata.combining(chr(c))
        if not order or nfd.normalize_str(chr(c)) != chr(c):
            continue
        probe = "\u0345" if order != 240 else "\u0301"  # classes 240 and 230
        text = "a" + (probe + chr(c) if order < 240 else chr(c) + probe)
        if nfd.normalize_str(text) != text:
            values[c] = order
    return values


def compositions():
    out, last = "", 0
    for c in SCALARS:
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = (int(p, 16) for p in parts)
            if N.NFC().normalize_str(chr(first) + chr(second)) == chr(c):
                out += digits(c - last) + digits(first) + digits(second)
                last = c
    return out


def scripts():
    """Classes of scalars that the UnicodeScripts pre-tokenizer keeps together; class 0 goes with any."""
    split = P.UnicodeScripts()

    def joined(first):
        """The scalars that are not split from `first` before them."""
        text = "".join(first + chr(c) for c in SCALARS)
        starts = {offsets[0] for _, offsets in split.pre_tokenize_str(text)}
        return {c for i, c in enumerate(SCALARS) if 2 * i + 1 not in starts}

    values = [0] * 0x110000
    anything = joined("a") & joined("\u4e00")
    left = set(SCALARS) - anything
    index = 0
    while left:
        index += 1
        first = min(left)
        members = (joined(chr(first)) - anything) & left | {first}
        for c in members:
            values[c] = index
        left -= members
    return values


def literal(name, comment, text):
    lines = [text[i:i + 110] for i in range(0, len(text), 110)]
    body = "\\\n    ".join(lines)
    return f'/// {comment}\nlet {name}: StaticString = """\n    {body}\n    """\n'


def main():
    canonical = decompositions(N.NFD())
    tables = [
        ("packedProperties", "Runs of (length, category and flags).", runs(properties())),
        ("packedGraphemeBreaks", "Runs of (length, grapheme cluster break class).", runs(grapheme_breaks())),
        ("packedScripts", "Runs of (length, class of scripts).", runs(scripts())),
        ("packedCombiningClasses", "Runs of (length, canonical combining class).", runs(combining_classes())),
        ("packedLowercase", "Mappings (distance, count, scalars).", mapping(lowercase())),
        ("packedCanonical", "Full canonical decompositions (distance, count, scalars).", mapping(canonical)),
        ("packedCompatibility", "Full compatibility decompositions where they differ.",
         mapping(decompositions(N.NFKD(), canonical))),
        ("packedCompositions", "Primary composites (distance, first, second).", compositions()),
    ]
    path = pathlib.Path(__file__).parent.parent / "Sources/Tokenizers/Unicode/UnicodeData.swift"
    header = ("// Written by Tools/unicode_tables.py; not to be edited. Numbers are groups of five bits, low first, as ASCII from 48.\n"
              "// swift-format-ignore-file\n\n")
    path.write_text(header + "\n".join(literal(*table) for table in tables))
    for name, _, text in tables:
        print(name, len(text))


main()
