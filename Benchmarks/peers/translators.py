"""Martlet beside CTranslate2 on one encoder-decoder, alternating, medians and ratios: the README's table.

    python translators.py path/to/martlet FOLDER [--batch 1 32] [--weights f32 int8] [--source 32] [--target 64] [--beams 4] [--repeat 3] [--threads 2]

FOLDER is what make_models.py wrote, such as models/transformer-base; the same weights for CTranslate2 stand beside it in FOLDER-ctranslate2.
Both read the same number of source tokens and write exactly --target tokens about each (ends are forbidden before, and then there is no more room).
int8: weights and activations, in CTranslate2 by row, in Martlet in q8_0 blocks. Tokens per second are those of the best texts, beams not counted.
Needs: ctranslate2.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("folder")
parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
parser.add_argument("--weights", nargs="+", choices=["f32", "int8"], default=["f32", "int8"])
parser.add_argument("--source", type=int, default=32)
parser.add_argument("--target", type=int, default=64)
parser.add_argument("--beams", type=int, default=4)
parser.add_argument("--repeat", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before the library is loaded
import ctranslate2  # noqa: E402


def martlet(weights, batch):
    arguments = [options.binary, "bench", "-m", options.folder, "--json", "--prompt", options.source, "--generate", options.target,
                 "--batch", batch, "--beams", options.beams, "--repeat", 1, "--threads", options.threads]
    arguments += ["--weights", "q8_0"] if weights == "int8" else []
    result = subprocess.run([str(a) for a in arguments], check=True, capture_output=True)
    return json.loads(result.stdout)["total"]["tokens_per_second"]


def ctranslate2_engine(weights, batch):
    translator = ctranslate2.Translator(
        options.folder.rstrip("/") + "-ctranslate2", device="cpu", compute_type={"f32": "float32", "int8": "int8"}[weights],
        intra_threads=options.threads, inter_threads=1)
    sources = [[f"token{2 + (text * options.source + i) * 7919 % 32000}" for i in range(options.source)] for text in range(batch)]

    def run(target):
        results = translator.translate_batch(
            sources, beam_size=options.beams, min_decoding_length=target, max_decoding_length=target, max_batch_size=0)
        assert all(len(result.hypotheses[0]) == target for result in results)

    def measure():
        began = time.perf_counter()
        run(options.target)
        return batch * options.target / (time.perf_counter() - began)

    run(4)
    return measure


def main():
    print(f"{options.source} source tokens, {options.target} written, {options.beams} beams, {options.threads} threads, CTranslate2 "
          f"{ctranslate2.__version__}; tokens per second, medians of {options.repeat}, alternating\n")
    print("| weights | batch | Martlet | CTranslate2 | ratio |\n|---|---|---|---|---|", flush=True)
    for weights in options.weights:
        for batch in options.batch:
            peer, ours, theirs = ctranslate2_engine(weights, batch), [], []
            for _ in range(options.repeat):
                ours.append(martlet(weights, batch))
                theirs.append(peer())
            a, b = statistics.median(ours), statistics.median(theirs)
            print(f"| {weights} | {batch} | {a:.0f} | {b:.0f} | {a / b:.2f} |", flush=True)


main()
