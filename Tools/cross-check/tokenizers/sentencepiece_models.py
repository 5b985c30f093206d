"""Random SentencePiece models, trained here: Martlet beside the library, in ids and decoded text.

python3 sentencepiece_models.py [--seed N] [--count N] [--texts N] FILE   (FILE: text that they are learnt from)
"""

import argparse
import io
import random
import sys

import sentencepiece

import texts
from server import Martlet, Refused


def random_model(rng, sentences):
    options = dict(
        vocab_size=rng.choice([400, 700, 1200]), model_type=rng.choice(["unigram", "bpe", "bpe", "unigram", "word", "char"]),
        character_coverage=rng.choice([0.98, 0.9995, 1.0]), normalization_rule_name=rng.choice(
            ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"]),
        add_dummy_prefix=rng.random() < 0.7, remove_extra_whitespaces=rng.random() < 0.6, byte_fallback=rng.random() < 0.4,
        split_digits=rng.random() < 0.3, split_by_whitespace=rng.random() < 0.8, split_by_unicode_script=rng.random() < 0.7,
        treat_whitespace_as_suffix=rng.random() < 0.2, allow_whitespace_only_pieces=rng.random() < 0.3, hard_vocab_limit=False)
    if rng.random() < 0.4:
        options["user_defined_symbols"] = rng.sample(["<sep>", "the", "é", "日本", "foo_bar", "12", "  ", "▁x", "🦙", "a▁b"], rng.randint(1, 4))
    if rng.random() < 0.3:
        options["control_symbols"] = ["<ctrl>", "<end>"]
    if rng.random() < 0.2:
        options["unk_surface"] = rng.choice(["", " ?? "])
    if options["byte_fallback"]:
        options["vocab_size"] += 256
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=out, minloglevel=3, num_threads=1, **options)
    return options, out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--shown", type=int, default=10)
    parser.add_argument("file")
    arguments = parser.parse_args()
    lines = [line for line in open(arguments.file, errors="replace").read().splitlines() if line.strip()]
    martlet = Martlet()
    equal = differing = refused = untrained = shown = count = 0
    for index in range(arguments.count):
        rng = random.Random(arguments.seed * 1_000_003 + index)
        sentences = [texts.valid(line)[:2000] for line in rng.sample(lines, min(1500, len(lines)))]
        sentences += [text.replace("\n", " ") for text in texts.texts(rng.random(), 300)]
        try:
            options, model = random_model(rng, sentences)
        except Exception as error:
            untrained += 1
            continue
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        path = martlet.path / "own.model"
        path.write_bytes(model)
        try:
            martlet.load("sentencepiece", path)
        except Refused as error:
            refused += 1
            print(f"refused {index}: {error} {options}", flush=True)
            continue
        samples = [texts.valid(texts.hard(rng)) for _ in range(arguments.texts)] + sentences[:50]
        samples += [text.replace(" ", "") for text in sentences[:10]] + [symbol * 3 for symbol in options.get("user_defined_symbols", [])]
        count += len(samples)
        theirs = processor.encode(samples)
        differences = [("ids", text, own, their) for text, own, their in zip(samples, martlet.ids(samples, special=True), theirs) if own != their]
        for text, ids, own in zip(samples, theirs, martlet.decode(theirs, False)):
            their = processor.decode(ids).encode()
            if own != their:
                differences.append(("decode", ids, own, their))
        if not differences:
            equal += 1
            continue
        differing += 1
        if shown < arguments.shown:
            shown += 1
            kind, text, own, their = differences[0]
            def spelled(ids):
                return [(i, processor.id_to_piece(i)) for i in ids] if kind == "ids" and ids is not None else ids
            print(f"--- {index}: {len(differences)} differ, first {kind}; {options}\ntext {text!r}\nours   {str(spelled(own))[:700]}\n"
                  f"theirs {str(spelled(their))[:700]}", flush=True)
    print(f"sentencepiece {sentencepiece.__version__}: {equal} models equal over {count} texts, {differing} differ, {refused} refused, "
          f"{untrained} could not be trained")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
