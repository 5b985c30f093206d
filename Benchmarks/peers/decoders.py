"""Martlet beside llama.cpp on the same files, alternating, medians and ratios.

    python decoders.py path/to/martlet MODEL.gguf … [--prompt 512] [--generate 128] [--repeat 3] [--threads 2]

Needs: llama-cpp-python, built from its source package so that it uses this machine's instructions.
"""

import argparse
import json
import statistics
import subprocess
import time

import llama_cpp


def martlet(binary, model, options):
    arguments = [binary, "bench", "-m", model, "--json", "--prompt", options.prompt, "--generate", options.generate]
    arguments += ["--repeat", 1, "--threads", options.threads]
    result = json.loads(subprocess.run([str(a) for a in arguments], check=True, capture_output=True).stdout)
    return result["prefill"]["tokens_per_second"], result["decode"]["tokens_per_second"], result


def llama(model, options):
    engine = llama_cpp.Llama(
        model, n_ctx=options.prompt + options.generate + 8, n_batch=512, n_ubatch=512, n_threads=options.threads,
        n_threads_batch=options.threads, verbose=False)
    prompt = [i * 7919 % engine.n_vocab() for i in range(options.prompt)]
    engine.eval(prompt[:8])
    engine.reset()
    began = time.perf_counter()
    engine.eval(prompt)
    read = time.perf_counter()
    for step in range(options.generate):
        engine.eval([prompt[step % len(prompt)]])
    done = time.perf_counter()
    engine.close()
    return options.prompt / (read - began), options.generate / (done - read)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| model | prefill | llama.cpp | ratio | decode | llama.cpp | ratio | of bandwidth |")
    print("|---|---|---|---|---|---|---|---|")
    for model in options.models:
        ours, theirs, shares = [], [], []
        for _ in range(options.repeat):
            prefill, decode, report = martlet(options.binary, model, options)
            ours.append((prefill, decode))
            shares.append(report["mbu"])
            theirs.append(llama(model, options))
        a = [statistics.median(x[i] for x in ours) for i in (0, 1)]
        b = [statistics.median(x[i] for x in theirs) for i in (0, 1)]
        name = model.rsplit("/", 1)[-1].removesuffix(".gguf")
        print(
            f"| {name} | {a[0]:.0f} | {b[0]:.0f} | {a[0] / b[0]:.2f} | {a[1]:.1f} | {b[1]:.1f} | {a[1] / b[1]:.2f} "
            f"| {statistics.median(shares):.0%} |", flush=True)


main()
