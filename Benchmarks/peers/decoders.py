"""Martlet beside llama.cpp on the same files, alternating, medians and ratios: the README's table.

    python decoders.py path/to/martlet MODEL.gguf … [--prompt 512] [--generate 128] [--repeat 3] [--threads 2] [--first] [--long 8192]

--first: also the time to the first token, from nothing: Martlet's whole process, and of llama.cpp's only loading and reading five tokens, so
without the start of the interpreter that holds it.
--long N: also Martlet alone with N positions in the cache, in f32 and in q8_0.
Needs: llama-cpp-python, built from its source package so that it uses this machine's instructions.
"""

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import time

import llama_cpp


def run(arguments):
    return subprocess.run([str(a) for a in arguments], check=True, capture_output=True).stdout


def martlet(model, options, prompt=None, generate=None, cache="f32"):
    return json.loads(run([
        options.binary, "bench", "-m", model, "--json", "--prompt", prompt or options.prompt, "--generate", generate or options.generate,
        "--repeat", 1, "--threads", options.threads, "--cache", cache]))


def engine(model, options, context):
    return llama_cpp.Llama(
        model, n_ctx=context, n_batch=512, n_ubatch=512, n_threads=options.threads, n_threads_batch=options.threads, verbose=False)


def llama(model, options):
    peer = engine(model, options, options.prompt + options.generate + 8)
    prompt = [i * 7919 % peer.n_vocab() for i in range(options.prompt)]
    peer.eval(prompt[:8])
    peer.reset()
    began = time.perf_counter()
    peer.eval(prompt)
    read = time.perf_counter()
    for step in range(options.generate):
        peer.eval([prompt[step % len(prompt)]])
    done = time.perf_counter()
    peer.close()
    return options.prompt / (read - began), options.generate / (done - read)


def first_token(model, options):
    began = time.perf_counter()
    run([options.binary, "generate", "-m", model, "--max-tokens", 1, "--threads", options.threads, "abcde"])
    ours = time.perf_counter() - began
    began = time.perf_counter()
    peer = engine(model, options, 512)
    peer.eval([1, 2, 3, 4, 5])
    theirs = time.perf_counter() - began
    peer.close()
    return ours, theirs


def name_of(model):
    return model.rsplit("/", 1)[-1].removesuffix(".gguf")


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.processor())


def speeds(model, options):
    ours, theirs, reports = [], [], []
    for _ in range(options.repeat):
        report = martlet(model, options)
        ours.append((report["prefill"]["tokens_per_second"], report["decode"]["tokens_per_second"]))
        reports.append(report)
        theirs.append(llama(model, options))
    a = [statistics.median(x[i] for x in ours) for i in (0, 1)]
    b = [statistics.median(x[i] for x in theirs) for i in (0, 1)]

    def share(key):
        return statistics.median(report[key] for report in reports)

    return (f"| {name_of(model)} | {a[0]:.0f} | {b[0]:.0f} | {a[0] / b[0]:.2f} | {share('mfu'):.0%} of {reports[0]['mfu_peak']} "
            f"| {a[1]:.1f} | {b[1]:.1f} | {a[1] / b[1]:.2f} | {share('mbu'):.0%} |"), reports


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--long", type=int)
    options = parser.parse_args()
    print(f"{datetime.date.today()}, {processor()}, {options.threads} threads, llama.cpp of llama-cpp-python {llama_cpp.__version__}; prompt "
          f"{options.prompt}, {options.generate} generated, medians of {options.repeat}, alternating; tokens per second\n")
    print("| | prefill | llama.cpp | ratio | of the peak | decode | llama.cpp | ratio | of the bandwidth |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    machines, memory = [], {}
    for model in options.models:
        row, reports = speeds(model, options)
        print(row, flush=True)
        machines += [report["machine"] for report in reports]
        memory[model] = max(report["peak_rss_bytes"] for report in reports)

    def limit(key):
        return statistics.median(machine[key] for machine in machines) / 1e9

    print(f"\nlimits: reading {limit('bandwidth_bytes_per_second'):.1f} GB/s, f32 {limit('peak_flops'):.0f}, int8 "
          f"{limit('peak_int8_operations'):.0f} G operations/s. Most memory resident: "
          + ", ".join(f"{name_of(model)} {bytes / 1e6:.0f} MB" for model, bytes in memory.items()))
    if options.first:
        print("\n| first token | Martlet, s | llama.cpp, s | ratio |\n|---|---|---|---|")
        for model in options.models:
            times = [first_token(model, options) for _ in range(options.repeat)]
            a, b = (statistics.median(t[i] for t in times) for i in (0, 1))
            print(f"| {name_of(model)} | {a:.2f} | {b:.2f} | {a / b:.2f} |", flush=True)
    if options.long:
        print(f"\n| decode after | 128 | {options.long}, f32 | ratio | {options.long}, q8_0 |\n|---|---|---|---|---|")
        for model in options.models:
            rates = [martlet(model, options, prompt, 32, cache) for prompt, cache in ((128, "f32"), (options.long, "f32"), (options.long, "q8_0"))]
            short, long, small = (rate["decode"]["tokens_per_second"] for rate in rates)
            print(f"| {name_of(model)} | {short:.1f} | {long:.1f} ({rates[1]['mbu']:.0%} of the bandwidth) | {long / short:.2f} "
                  f"| {small:.1f} ({rates[2]['mbu']:.0%}) |", flush=True)


main()
