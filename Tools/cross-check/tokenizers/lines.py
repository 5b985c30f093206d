"""Ids of many lines: Martlet beside the library that each vocabulary belongs to.

python3 lines.py --data FOLDER [--lines N] [--seed N] [--only NAME]   (FOLDER: vocabularies and corpora, as Documentation/Tokenizers.md names them)

Half of the lines come from the corpora, half from a seeded generator of hard text; each vocabulary gets N.
"""

import argparse
import gzip
import sys
import time
from pathlib import Path

import texts
from server import Martlet

CORPORA = ["corpora/books/*", "corpora/tinyshakespeare/*", "corpora/tinystories/*", "corpora/wikitext-2/*", "datasets/banking77/*.csv", "datasets/squad-v1.1/*",
           "datasets/wnut17/*", "benchmarks-only/multi30k/*.de", "templates/*"]


def unpacked(path, folder):
    if path.suffix != ".gz":
        return path
    result = folder / path.name[:-3]
    result.write_bytes(gzip.open(path).read())
    return result


def hugging_face(path):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return ("json", path), lambda lines: [e.ids for e in tokenizer.encode_batch_fast(lines, add_special_tokens=True)], True


def tiktoken_ranks(name):
    def make(path):
        import base64
        import tiktoken
        from tiktoken_ext import openai_public
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in open(path, "rb") if line.strip())}
        spelled = openai_public.r50k_pat_str if name == "r50k_base" else (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
        encoding = tiktoken.Encoding(name, pat_str=spelled, mergeable_ranks=ranks, special_tokens={})
        return ("tiktoken", path, name), lambda lines: [encoding.encode_ordinary(line) for line in lines], False
    return make


def sentencepiece_model(path):
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return ("sentencepiece", path), lambda lines: processor.encode(lines, num_threads=1), True


VOCABULARIES = {
    "tokenizers/hf/roberta-base/tokenizer.json.gz": hugging_face, "tokenizers/hf/t5-small/tokenizer.json.gz": hugging_face,
    "weights/all-MiniLM-L6-v2/tokenizer.json": hugging_face, "weights/stories260K/tokenizer.json": hugging_face,
    "tokenizers/tiktoken/cl100k_base.tiktoken.gz": tiktoken_ranks("cl100k_base"), "tokenizers/tiktoken/r50k_base.tiktoken.gz": tiktoken_ranks("r50k_base"),
    "tokenizers/sentencepiece/albert-spiece.model": sentencepiece_model, "tokenizers/sentencepiece/llama2-tokenizer.model": sentencepiece_model,
    "tokenizers/sentencepiece/test_model.model": sentencepiece_model,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    martlet = Martlet()
    files = sorted(str(path) for pattern in CORPORA for path in arguments.data.glob(pattern) if path.is_file())
    corpus = [texts.valid(line[:4000]) for line in texts.lines(files, 1 << 30) if line.strip()]
    total = bad = 0
    for number, (name, make) in enumerate(VOCABULARIES.items()):
        path = arguments.data / name
        if arguments.only not in name or not path.exists():
            continue
        load, encode, parses = make(unpacked(path, martlet.path))
        martlet.load(*load)
        start, differing, done = time.time(), 0, 0
        while done < arguments.lines:
            count = min(10_000, arguments.lines - done)
            seed = arguments.seed * 1_000_000 + number * 10_000 + done // 10_000
            offset = (seed * 7919 + done // 2) % max(1, len(corpus) - count)
            lines = texts.texts(seed, count - count // 2) + corpus[offset:offset + count // 2]
            for line, own, their in zip(lines, martlet.ids(lines, special=True, parse=parses), encode(lines)):
                if own != their:
                    differing += 1
                    if differing <= 3:
                        print(f"{name}: {line!r}\nours   {str(own)[:300]}\ntheirs {str(their)[:300]}", flush=True)
            done += len(lines)
        total += done
        bad += differing
        print(f"{name}: {done} lines, {differing} differ, {time.time() - start:.0f} s", flush=True)
    print(f"{total} lines in all, {bad} differ")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
