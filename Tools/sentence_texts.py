"""The texts from which the sentence encoder that ships learns: FOLDER/train.txt and FOLDER/held.txt, one text a line, none twice, mixed.

    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb wordnet
    python3 Tools/sentence_texts.py wordnet/usr/share/wordnet CORPORA DATASETS all-MiniLM-L6-v2/tokenizer.json FOLDER

Licences: WordNet 3.0's own (free to use, copy and change), WikiText-2 and SQuAD (CC BY-SA), BANKING77's training queries and
WNUT-17's training posts (CC BY 4.0), TinyStories (CDLA-Sharing 1.0), books of Project Gutenberg (public domain). Further texts are
made by sentence_patterns.py. Of the STS benchmark nothing is read: parts of its texts are under terms of their own, and it measures the result.
"""

import csv
import gzip
import json
import random
import re
import sys
from pathlib import Path

import sentence_patterns

# Texts of each kind. A text of any length is one vector to learn, so short ones teach more in the same time.
LIMITS = {
    "examples": 24_000, "glosses": 12_000, "wiki": 3_000, "squad": 9_000, "banking": 5_000, "posts": 1_500, "stories": 8_000, "books": 4_000,
    "scenes": 8_384, "headlines": 5_000, "advice": 3_000,
}
WORDS = range(4, 15)
HELD = 512


def read(path):
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")


def sentences(text):
    """Rough sentences of plain prose; what is short or long is left out."""
    for part in re.split(r"(?<=[.!?])[\"”']?\s+(?=[A-Z\"“'])", " ".join(text.split())):
        if len(part.split()) in WORDS:
            yield part


def glosses(folder):
    """Definitions behind their words, and example sentences."""
    definitions, examples = [], []
    for name in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{name}").read_text().splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            fields, gloss = line.split(" | ", 1)
            fields = fields.split()
            words = [fields[4 + 2 * i].split("(")[0].replace("_", " ") for i in range(int(fields[3], 16))]
            definition = gloss.split('; "')[0].strip().strip(";")
            definitions.append(f"{', '.join(words[:3])}: {definition}")
            examples += (e.strip() for e in re.findall(r'"([^"]{12,300})"', gloss))
    return definitions, examples


def main():
    wordnet, corpora, datasets, tokenizer, folder = map(Path, sys.argv[1:6])
    found = {name: [] for name in LIMITS}
    found["glosses"], found["examples"] = glosses(wordnet)
    for name in ("wiki.valid.raw.gz", "wiki.test.raw.gz"):
        for line in read(corpora / "wikitext-2" / name).splitlines():
            line = re.sub(r" @(.)@ ", r"\1", line).replace(" ,", ",").replace(" .", ".").replace(" 's", "'s")
            if not line.strip().startswith("="):
                found["wiki"] += sentences(line)
    for article in json.loads(read(datasets / "squad-v1.1" / "dev-v1.1.json.gz"))["data"]:
        for paragraph in article["paragraphs"]:
            found["squad"] += sentences(paragraph["context"])
            found["squad"] += [q["question"].strip() for q in paragraph["qas"]]
    found["banking"] = [row["text"] for row in csv.DictReader((datasets / "banking77" / "train.csv").open())]
    posts = (datasets / "wnut17" / "train.conll").read_text()
    found["posts"] = [" ".join(re.findall(r"^(\S+)\t", post, re.M)) for post in re.split(r"\n\s*\n", posts)]
    found["stories"] = list(sentences(read(corpora / "tinystories" / "tiny_stories_944K.txt")))
    for name in ("botchan.txt", "sherlock.txt.gz", "war-and-peace.txt.gz"):
        found["books"] += sentences(read(corpora / "books" / name))
    # The vocabulary's frequent whole words: WordPieces stand in order of how often they are met.
    pieces = json.loads(tokenizer.read_text())["model"]["vocab"]
    words = {word for word, number in pieces.items() if number < 20_000}
    found.update(sentence_patterns.made(wordnet, words, LIMITS))

    random.seed(1)
    seen, texts = set(), []
    for name, limit in LIMITS.items():
        fresh = []
        for text in found[name]:
            text = " ".join(text.split()).strip('"“” ')
            if text.lower() not in seen and len(text.split()) in WORDS:
                seen.add(text.lower())
                fresh.append(text)
        random.shuffle(fresh)
        print(f"{name}: {len(fresh)} texts, {min(len(fresh), limit)} taken", file=sys.stderr)
        texts += fresh[:limit]
    random.shuffle(texts)
    for name, part in ("held", texts[:HELD]), ("train", texts[HELD:]):
        (folder / f"{name}.txt").write_text("".join(text + "\n" for text in part), encoding="utf-8")


main()
