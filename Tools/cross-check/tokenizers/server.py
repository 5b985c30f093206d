"""Martlet as a process that answers (Benchmarks/Tokenizers)."""

import json
import os
import subprocess
import tempfile
from array import array
from pathlib import Path

SERVER = Path(os.environ.get("MARTLET_SERVER") or
              Path(__file__).resolve().parents[3] / "Benchmarks/Tokenizers/.build/release/tokenizer-server")


class Refused(Exception):
    pass


class Martlet:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.process = None

    def ask(self, *words):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server died with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def load(self, kind, path, *more):
        return self.ask("load", kind, path, *more)

    def load_json(self, text):
        (self.path / "tokenizer.json").write_text(text)
        return self.load("json", self.path / "tokenizer.json")

    def _give(self, texts):
        raw = b"".join((text if isinstance(text, bytes) else text.encode()) + b"\xfe" for text in texts)
        (self.path / "in").write_bytes(raw)

    def _take(self):
        numbers = array("i")
        numbers.frombytes((self.path / "out").read_bytes())
        return numbers

    def ids(self, texts, special=False, parse=True):
        """The ids of each text, None where encoding failed."""
        self._give(texts)
        self.ask("encode", self.path / "in", self.path / "out", int(special), int(parse), "ids")
        numbers, index, result = self._take(), 0, []
        for _ in texts:
            count = numbers[index]
            result.append(None if count < 0 else list(numbers[index + 1:index + 1 + count]))
            index += 1 + max(count, 0)
        return result

    def encodings(self, texts, special=True):
        """(ids, offsets in bytes, special mask, words) of each text, None where encoding failed."""
        self._give(texts)
        self.ask("encode", self.path / "in", self.path / "out", int(special), 1, "full")
        numbers, index, result = self._take(), 0, []
        for _ in texts:
            count = numbers[index]
            index += 1
            if count < 0:
                result.append(None)
                continue
            flat = list(numbers[index:index + 5 * count])
            index += 5 * count
            offsets = list(zip(flat[count:3 * count:2], flat[count + 1:3 * count:2]))
            result.append((flat[:count], offsets, flat[3 * count:4 * count], flat[4 * count:]))
        return result

    def decode(self, sequences, skip):
        numbers = array("i")
        for ids in sequences:
            numbers.append(len(ids))
            numbers.extend(ids)
        (self.path / "in").write_bytes(numbers.tobytes())
        self.ask("decode", self.path / "in", self.path / "out", int(skip))
        return (self.path / "out").read_bytes().split(b"\xfe")[:-1]
