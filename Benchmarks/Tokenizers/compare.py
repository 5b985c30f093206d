"""Martlet's tokenizers beside their peers, in one run: `python3 compare.py --data FOLDER FILE…` (see README.md).

Every round times each contender once on the same documents, in turn; the medians of the rounds and their ratios are printed as the
README's tables. FOLDER holds the vocabularies (Documentation/Tokenizers.md names them); those that are missing are left out.
"""

import argparse
import gc
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "true"

HERE = Path(__file__).resolve().parent


class Server:
    """Martlet, in a process of its own that answers line by line."""

    def __init__(self):
        self.process = subprocess.Popen(
            [HERE / ".build/release/tokenizer-server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def documents(files, size, count):
    """Pieces of about 2 kB, cut at line ends where possible, taken from the files in turn."""
    texts = []
    for name in files:
        raw = gzip.open(name).read() if name.endswith(".gz") else open(name, "rb").read()
        texts.append(raw.decode("utf-8", "replace"))
    cuts = [0] * len(texts)
    result, total = [], 0
    while total < count and any(cut < len(text) for cut, text in zip(cuts, texts)):
        for index, text in enumerate(texts):
            if cuts[index] >= len(text):
                continue
            end = min(len(text), cuts[index] + size)
            line = text.rfind("\n", cuts[index] + size // 2, end)
            end = line + 1 if line > 0 and end < len(text) else end
            result.append(text[cuts[index]:end])
            total += len(result[-1].encode())
            cuts[index] = end
    return result, total


def qwen_files(data, folder):
    """A Qwen 2 vocabulary from its GGUF, as vocab.json with merges.txt and as tokenizer.json."""
    import gguf
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    packed = data / "tokenizers/llama.cpp-vocab/ggml-vocab-qwen2.gguf.gz"
    path = folder / "qwen2.gguf"
    path.write_bytes(gzip.open(packed).read())
    reader = gguf.GGUFReader(path)

    def strings(key):
        field = reader.fields["tokenizer.ggml." + key]
        return [bytes(field.parts[i]).decode() for i in field.data]

    types = [int(reader.fields["tokenizer.ggml.token_type"].parts[i][0])
             for i in reader.fields["tokenizer.ggml.token_type"].data]
    tokens, merges = strings("tokens"), strings("merges")
    vocabulary = {token: i for i, token in enumerate(tokens) if types[i] == 1}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
               r"\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "qwen2.json"))
    return folder / "qwen2.json"


def unpacked(data, name, folder):
    """The path of a vocabulary, unpacked if only its .gz is there; nil if it is missing."""
    path = data / name
    if path.exists():
        return path
    packed = path.with_name(path.name + ".gz")
    if not packed.exists():
        return None
    result = folder / name.replace("/", "-")
    result.write_bytes(gzip.open(packed).read())
    return result


def hugging_face(path):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return "tokenizers", lambda texts: [
        len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def tiktoken_encoding(path):
    import base64
    import tiktoken
    ranks = {base64.b64decode(token): int(rank) for token, rank in
             (line.split() for line in open(path, "rb").read().splitlines() if line)}
    pattern = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
               r"\s*[\r\n]|\s+(?!\S)|\s")
    encoding = tiktoken.Encoding("cl100k", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return "tiktoken", lambda texts: [len(encoding.encode_ordinary(text)) for text in texts]


def sentencepiece_processor(path):
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return "sentencepiece", lambda texts: [len(ids) for ids in processor.encode(texts, num_threads=1)]


def qwen_peer(folder):
    import bpe_qwen
    tokenizer = bpe_qwen.QwenTokenizer(str(folder))
    return "bpe-qwen", lambda texts: [len(tokenizer.encode(text)) for text in texts]


def contenders(data, folder):
    """Name, the words that load it here, and the peers' makers."""
    result = []

    def add(title, name, kind, *peers, extra=()):
        path = unpacked(data, name, folder)
        if path:
            result.append((title, (kind, path, *extra), [lambda peer=peer: peer(path) for peer in peers]))

    add("byte-level BPE, 50k (RoBERTa)", "tokenizers/hf/roberta-base/tokenizer.json", "json", hugging_face)
    if (data / "tokenizers/llama.cpp-vocab/ggml-vocab-qwen2.gguf.gz").exists():
        path = qwen_files(data, folder)
        result.append(("byte-level BPE, 152k (Qwen 2)", ("json", path),
                       [lambda: hugging_face(path), lambda: qwen_peer(folder)]))
    add("cl100k", "tokenizers/tiktoken/cl100k_base.tiktoken", "tiktoken", tiktoken_encoding, extra=("cl100k_base",))
    add("WordPiece (BERT)", "weights/all-MiniLM-L6-v2/tokenizer.json", "json", hugging_face)
    add("Unigram (ALBERT)", "tokenizers/sentencepiece/albert-spiece.model", "sentencepiece", sentencepiece_processor)
    add("SentencePiece BPE (Llama 2)", "tokenizers/sentencepiece/llama2-tokenizer.model", "sentencepiece",
        sentencepiece_processor)
    return result


def peer_run(name, run, texts):
    gc.collect()
    start, used = time.perf_counter(), time.process_time()
    counts = run(texts)
    return sum(counts), time.perf_counter() - start, time.process_time() - used


def encoding_tables(arguments, texts, size, path, folder):
    print("| vocabulary | Martlet, MB/s | peer, MB/s | ratio | tokens equal | two threads |")
    print("|---|---|---|---|---|---|")
    server = Server()
    for title, load, makers in contenders(arguments.data, folder):
        if arguments.vocabulary not in title:
            continue
        server.ask("load", *load)
        server.ask("time", path, 1)
        peers = []
        for make in makers:
            try:
                peers.append(make())
            except ImportError as error:
                print(f"{title}: left out, {error}", file=sys.stderr)
        own, both, others = [], [], [[] for _ in peers]
        totals = [0] * len(peers)
        for _ in range(arguments.rounds):
            answer = server.ask("time", path, 1)
            own.append(answer["processor_seconds"])
            for index, (name, run) in enumerate(peers):
                totals[index], _, used = peer_run(name, run, texts)
                others[index].append(used)
        for _ in range(arguments.rounds + 2):
            both.append((server.ask("time", path, 1)["seconds"], server.ask("time", path, 2)["seconds"]))
        mine = statistics.median(own)
        twice = statistics.median(one / two for one, two in both)
        for index, (name, _) in enumerate(peers):
            theirs = statistics.median(others[index])
            same = "yes" if totals[index] == answer["tokens"] else f"{answer['tokens']} / {totals[index]}"
            print(f"| {title} | {size / mine / 1e6:.1f} | {name} {size / theirs / 1e6:.1f} | {theirs / mine:.1f}× | {same} | "
                  f"{twice:.2f}× |", flush=True)
    server.close()


TRAIN_PEER = """
import json, resource, sys, time
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(vocab_size=int(sys.argv[1]), min_frequency=2, show_progress=False,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
start = time.perf_counter()
tokenizer.train([sys.argv[2]], trainer)
seconds = time.perf_counter() - start
merges = json.loads(tokenizer.to_str())["model"]["merges"]
print(json.dumps(dict(seconds=seconds, merges=[list(merge) for merge in merges],
    peak_kilobytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)))
"""


def training_table(arguments, path, folder):
    """Each training in a process of its own, so that the peak of its memory is its own."""
    wanted, own, others = 32_000, [], []
    for _ in range(arguments.rounds):
        server = Server()
        own.append(server.ask("train", "byte-bpe", wanted, 4 << 30, 2, folder / "trained.json", path))
        server.close()
        result = subprocess.run(
            [sys.executable, "-c", TRAIN_PEER, str(wanted), str(path)], capture_output=True, text=True, check=True,
            env=dict(os.environ, RAYON_NUM_THREADS="2"))
        others.append(json.loads(result.stdout))
    merges = [list(merge) if isinstance(merge, list) else merge.split(" ")
              for merge in json.load(open(folder / "trained.json"))["model"]["merges"]]
    mine, theirs = (statistics.median(run["seconds"] for run in runs) for runs in (own, others))
    memory = [max(run["peak_kilobytes"] for run in runs) / 1024 for runs in (own, others)]
    print("\n| training, byte-level BPE, 32,000, two threads | seconds | peak memory, MB |")
    print("|---|---|---|")
    print(f"| Martlet | {mine:.2f} | {memory[0]:.0f} |")
    print(f"| tokenizers | {theirs:.2f} | {memory[1]:.0f} |")
    same = merges == others[-1]["merges"]
    print(f"\nRatio {theirs / mine:.1f}×; the same {len(merges)} merges: {'yes' if same else 'no'}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of vocabularies")
    parser.add_argument("--megabytes", type=float, default=6, help="how much text to take (default 6)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocabulary", default="", help="only those whose title holds this")
    parser.add_argument("--only", choices=["encode", "train"])
    parser.add_argument("files", nargs="+", help="texts: prose, code, markup")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts, size = documents(arguments.files, 2048, arguments.megabytes * 1e6)
        joined, lines = folder / "documents", folder / "lines.txt"
        joined.write_bytes(b"".join(text.encode() + b"\xfe" for text in texts))
        lines.write_text("".join(texts))
        print(f"{size / 1e6:.1f} MB in {len(texts)} documents, {arguments.rounds} rounds, medians; {time.strftime('%Y-%m-%d')}\n")
        if arguments.only != "train":
            encoding_tables(arguments, texts, size, joined, folder)
        if arguments.only != "encode":
            training_table(arguments, lines, folder)


if __name__ == "__main__":
    main()
