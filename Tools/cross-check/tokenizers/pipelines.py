"""Random tokenizer.json pipelines: Martlet beside Hugging Face's library, in ids, offsets, special masks, words and decoded text.

python3 pipelines.py [--seed N] [--count N] FILE…   (FILE: text that the vocabularies are learnt from)
"""

import argparse
import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import texts
from server import Martlet, Refused

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask>", "[CLS]", "[SEP]", "[UNK]"]


def vocabularies(files):
    """A model of each kind as JSON."""
    def train(model, trainer, pre=None):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre
        tokenizer.train(files, trainer)
        return json.loads(tokenizer.to_str())["model"]

    byte = train(models.BPE(), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
        pre_tokenizers.ByteLevel(add_prefix_space=False))
    plain = train(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False, limit_alphabet=200), pre_tokenizers.Metaspace())
    split = train(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False), pre_tokenizers.Whitespace())
    suffix = train(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False, end_of_word_suffix="</w>"), pre_tokenizers.Whitespace())
    piece = train(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False), pre_tokenizers.BertPreTokenizer())
    level = train(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(
        vocab_size=3000, special_tokens=SPECIAL, show_progress=False), pre_tokenizers.Whitespace())
    unigram = train(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=1500, special_tokens=SPECIAL, show_progress=False, unk_token="<unk>"), pre_tokenizers.Metaspace())
    return [byte, plain, split, suffix, piece, level, unigram]


def with_bytes(model):
    """The model with the 256 byte tokens."""
    names = [f"<0x{i:02X}>" for i in range(256)]
    if model["type"] == "Unigram":
        model["vocab"] = model["vocab"] + [[name, -20.0] for name in names]
    else:
        for name in names:
            model["vocab"].setdefault(name, len(model["vocab"]))
    model["byte_fallback"] = True


def random_model(rng, bases):
    model = json.loads(json.dumps(rng.choice(bases)))
    if model["type"] == "BPE":
        if rng.random() < 0.3 and not model.get("end_of_word_suffix"):
            with_bytes(model)
        model["fuse_unk"] = rng.random() < 0.5
        model["ignore_merges"] = rng.random() < 0.2
        if rng.random() < 0.3:
            model["unk_token"] = rng.choice([None, "<unk>", "[UNK]"])
    elif model["type"] == "WordPiece":
        model["max_input_chars_per_word"] = rng.choice([100, 5, 12])
    elif model["type"] == "Unigram" and rng.random() < 0.4:
        with_bytes(model)
    return model


PATTERNS = [{"String": " "}, {"String": "e"}, {"String": "▁"}, {"Regex": r"\s+"}, {"Regex": r"\d"}, {"Regex": r"\p{L}+"}, {"String": "ab"},
            {"Regex": "[aeiou]"}, {"Regex": r"[^\s\p{L}\p{N}]+"}, {"Regex": r"\p{N}{1,3}"}, {"Regex": r"\w+|[^\w\s]+"},
            {"Regex": r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"}, {"Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+"},
            {"Regex": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"}]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def random_normalizer(rng, deep=True):
    kind = rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend", "Nmt", "Bert", "ByteLevel",
                       "Sequence", "Sequence"])
    if kind == "Sequence":
        if not deep:
            return {"type": "NFKC"}
        return {"type": "Sequence", "normalizers": [random_normalizer(rng, False) for _ in range(rng.randint(0, 3))]}
    if kind == "Strip":
        return {"type": kind, "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5}
    if kind == "Replace":
        return {"type": kind, "pattern": rng.choice(PATTERNS), "content": rng.choice(["", "▁", "x", " ", "éé"])}
    if kind == "Prepend":
        return {"type": kind, "prepend": rng.choice(["▁", "xy", " "])}
    if kind == "Bert":
        return {"type": "BertNormalizer", "clean_text": rng.random() < 0.7, "handle_chinese_chars": rng.random() < 0.7,
                "strip_accents": rng.choice([None, True, False]), "lowercase": rng.random() < 0.5}
    return {"type": kind}


def random_pre_tokenizer(rng, deep=True):
    kind = rng.choice(["ByteLevel", "ByteLevel", "Metaspace", "Metaspace", "Split", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Digits",
                       "Punctuation", "CharDelimiterSplit", "UnicodeScripts", "FixedLength", "Sequence", "Sequence"])
    if kind == "Sequence":
        if not deep:
            return {"type": "Whitespace"}
        return {"type": kind, "pretokenizers": [random_pre_tokenizer(rng, False) for _ in range(rng.randint(0, 3))]}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": rng.random() < 0.5, "trim_offsets": rng.random() < 0.5, "use_regex": rng.random() < 0.7}
    if kind == "Metaspace":
        return {"type": kind, "replacement": rng.choice(["▁", "▁", "_"]), "prepend_scheme": rng.choice(["always", "never", "first"]),
                "split": rng.random() < 0.7}
    if kind == "Split":
        return {"type": kind, "pattern": rng.choice(PATTERNS), "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < 0.3}
    if kind == "Digits":
        return {"type": kind, "individual_digits": rng.random() < 0.5}
    if kind == "Punctuation":
        return {"type": kind, "behavior": rng.choice(BEHAVIORS)}
    if kind == "CharDelimiterSplit":
        return {"type": kind, "delimiter": rng.choice(["e", " ", "▁"])}
    if kind == "FixedLength":
        return {"type": kind, "length": rng.randint(1, 7)}
    return {"type": kind}


def random_post_processor(rng, vocabulary, deep=True):
    kind = rng.choice([None, "ByteLevel", "TemplateProcessing", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "Sequence"])
    ids = {token: vocabulary[token] for token in SPECIAL}
    if kind == "Sequence":
        if not deep:
            return None
        parts = [random_post_processor(rng, vocabulary, False) for _ in range(rng.randint(1, 2))]
        return {"type": kind, "processors": [part for part in parts if part]}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": rng.random() < 0.5, "trim_offsets": rng.random() < 0.5, "use_regex": True}
    if kind == "TemplateProcessing":
        def special(name):
            return {"SpecialToken": {"id": name, "type_id": rng.randint(0, 1)}}
        a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
        return {"type": kind, "single": rng.choice([[special("<s>"), a, special("</s>")], [a, special("</s>")], [special("[CLS]"), a]]),
                "pair": [special("<s>"), a, special("</s>"), b, special("</s>")],
                "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in SPECIAL}}
    if kind == "BertProcessing":
        return {"type": kind, "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]}
    if kind == "RobertaProcessing":
        return {"type": kind, "sep": ["</s>", ids["</s>"]], "cls": ["<s>", ids["<s>"]], "trim_offsets": rng.random() < 0.5,
                "add_prefix_space": rng.random() < 0.5}
    return None


def random_decoder(rng, deep=True):
    kind = rng.choice([None, "ByteLevel", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace", "WordPiece", "BPEDecoder", "CTC", "Sequence",
                       "Sequence"])
    if kind == "Sequence":
        if not deep:
            return {"type": "Fuse"}
        parts = [random_decoder(rng, False) for _ in range(rng.randint(1, 4))]
        return {"type": kind, "decoders": [part for part in parts if part]}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    if kind == "Metaspace":
        return {"type": kind, "replacement": "▁", "prepend_scheme": rng.choice(["always", "never", "first"]), "split": True}
    if kind == "Strip":
        return {"type": kind, "content": rng.choice([" ", "e"]), "start": rng.randint(0, 2), "stop": rng.randint(0, 2)}
    if kind == "Replace":
        return {"type": kind, "pattern": rng.choice([{"String": "▁"}, {"String": "##"}, {"String": "e"}]), "content": rng.choice([" ", "", "xx"])}
    if kind == "WordPiece":
        return {"type": kind, "prefix": "##", "cleanup": rng.random() < 0.5}
    if kind == "BPEDecoder":
        return {"type": kind, "suffix": "</w>"}
    if kind == "CTC":
        return {"type": kind, "pad_token": "<pad>", "word_delimiter_token": "e", "cleanup": rng.random() < 0.5}
    return {"type": kind} if kind else None


def random_added(rng, vocabulary):
    added = []
    for content in rng.sample(SPECIAL, rng.randint(0, len(SPECIAL))):
        added.append(dict(id=vocabulary[content], content=content, single_word=rng.random() < 0.15, lstrip=rng.random() < 0.2,
                          rstrip=rng.random() < 0.2, normalized=rng.random() < 0.3, special=rng.random() < 0.7))
    # None that a normalizer makes empty: the reference then finds it between any two scalars.
    extra = ["the", "Straße", "é", "foo_bar", "12", "日本", "🦙", "_", "Ab"]
    for offset, content in enumerate(rng.sample(extra, rng.randint(0, 3))):
        if content in vocabulary:
            continue
        added.append(dict(id=len(vocabulary) + offset, content=content, single_word=rng.random() < 0.3, lstrip=rng.random() < 0.3,
                          rstrip=rng.random() < 0.3, normalized=rng.random() < 0.5, special=rng.random() < 0.3))
    for index, token in enumerate(t for t in added if t["id"] >= len(vocabulary)):
        token["id"] = len(vocabulary) + index
    return sorted(added, key=lambda token: token["id"])


def random_pipeline(rng, bases):
    model = random_model(rng, bases)
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {piece: i for i, (piece, _) in enumerate(vocabulary)}
    return dict(version="1.0", truncation=None, padding=None, added_tokens=random_added(rng, vocabulary),
                normalizer=random_normalizer(rng) if rng.random() < 0.6 else None,
                pre_tokenizer=random_pre_tokenizer(rng) if rng.random() < 0.9 else None,
                post_processor=random_post_processor(rng, vocabulary), decoder=random_decoder(rng), model=model)


def byte_offsets(text, offsets):
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    return [(starts[start], starts[end]) for start, end in offsets]


def is_random(pipeline, reference):
    """Whether two added tokens become one text: the reference then finds one or the other, by a hash that each process draws anew. Or
    whether one becomes empty, which it finds between any two scalars."""
    contents = [token["content"] for token in pipeline["added_tokens"] if token["normalized"]]
    forms = [reference.normalizer.normalize_str(content) if reference.normalizer else content for content in contents]
    return len(set(forms)) < len(forms) or "" in forms


def compare(martlet, reference, samples):
    """What differs, as (kind, text, ours, theirs)."""
    differences = []
    ours = martlet.encodings(samples)
    sequences = []
    for text, own in zip(samples, ours):
        try:
            encoding = reference.encode(text)
        except BaseException as error:  # a panic of the library's is no Exception
            if own is not None and "Panic" not in type(error).__name__:
                differences.append(("refusal", text, own, str(error)))
            continue
        theirs = (encoding.ids, byte_offsets(text, encoding.offsets), encoding.special_tokens_mask,
                  [-1 if word is None else word for word in encoding.word_ids])
        sequences.append(encoding.ids)
        if own is None:
            differences.append(("refused", text, own, theirs))
            continue
        for name, mine, their in zip(["ids", "offsets", "special", "words"], own, theirs):
            if mine != their:
                differences.append((name, text, mine, their))
                break
    for skip in [True, False]:
        for ids, mine in zip(sequences, martlet.decode(sequences, skip)):
            try:
                their = reference.decode(ids, skip_special_tokens=skip).encode()
            except BaseException:  # a panic of the library's
                continue
            if mine != their:
                differences.append(("decode", ids, mine, their))
    # What matters most first.
    return sorted(differences, key=lambda difference: difference[0] in ("offsets", "words"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--shown", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="show differences in offsets and words too")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    bases = vocabularies(arguments.files)
    martlet = Martlet()
    good = bad = refused = invalid = ambiguous = lines = shown = 0
    kinds = {}
    for index in range(arguments.count):
        rng = random.Random(arguments.seed * 1_000_003 + index)
        pipeline = random_pipeline(rng, bases)
        text = json.dumps(pipeline, ensure_ascii=False)
        try:
            reference = Tokenizer.from_str(text)
        except Exception:
            invalid += 1
            continue
        if is_random(pipeline, reference):
            ambiguous += 1
            continue
        head = {key: value for key, value in pipeline.items() if key in ("normalizer", "pre_tokenizer", "decoder", "post_processor")}
        head["model"] = {key: value for key, value in pipeline["model"].items() if key not in ("vocab", "merges")}
        try:
            martlet.load_json(text)
        except Refused as error:
            refused += 1
            print(f"refused {index}: {error} {json.dumps(head)}", flush=True)
            continue
        samples = [texts.valid(texts.hard(rng)) for _ in range(arguments.texts)]
        lines += len(samples)
        differences = compare(martlet, reference, samples)
        if not differences:
            good += 1
            continue
        bad += 1
        kinds[differences[0][0]] = kinds.get(differences[0][0], 0) + 1
        if shown < arguments.shown and (arguments.all or differences[0][0] not in ("offsets", "words")):
            shown += 1
            kind, sample, mine, theirs = differences[0]
            print(f"--- {index}: {len(differences)} differ, first {kind}\n{json.dumps(head, ensure_ascii=False)}")
            print(f"added {json.dumps(pipeline['added_tokens'], ensure_ascii=False)}")
            print(f"text {sample!r}\nours   {str(mine)[:400]}\ntheirs {str(theirs)[:400]}", flush=True)
    print(f"tokenizers {tokenizers.__version__}: {good} pipelines equal over {lines} texts, {bad} differ {kinds}, {refused} refused, "
          f"{invalid} the reference refuses, {ambiguous} it decides by chance")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
