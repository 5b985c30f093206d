"""Training steps of `martlet train` beside PyTorch, eager and compiled, and llm.c's CPU code: tokens per second, of the clock and of one
processor, and peak memory.

    python Benchmarks/Training/compare.py --martlet PATH [--cases gpt2,baby] [--precisions f32,bf16] [--rounds N] [--threads N]
        [--sides martlet,eager,compiled,llmc] [--record FILE] [--through COMMAND] [--llmc REPOSITORY] [--seconds N]

GPT-2 124M with 4 sequences of 64, and nanoGPT's shakespeare baby with 16 of 256; AdamW, clipping, no dropout. The sides take turns; each turn
is a process of its own, at most a minute and a half long, started through COMMAND where one is given (something that keeps the machine quiet).
Processor time is what a busy machine leaves comparable, as long as nobody spins: Martlet's threads park, OpenMP is told not to.
Every turn adds a line to FILE; the table of medians is made from it, so that a run can go on where it was broken off (--report makes only
the table). Needs torch and transformers; compiled PyTorch needs g++, llm.c needs git, make, gcc and, unless REPOSITORY is a local one, the network.
"""

import argparse
import json
import os
import random
import re
import resource
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "gpt2": {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "rows": (4, 64)},
    "baby": {"vocab_size": 65, "n_embd": 384, "n_layer": 6, "n_head": 6, "n_positions": 256, "rows": (16, 256)},
}
SIDES = ("martlet", "eager", "compiled", "llmc")
SILENT = {"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
WORK = Path(tempfile.gettempdir()) / "martlet-training-peers"


def recipe(case: dict, text: Path, steps: int, precision: str = "f32") -> dict:
    sequences, length = case["rows"]
    config = {name: value for name, value in case.items() if name != "rows"} | {"model_type": "gpt2"}
    return {
        "model": {"config": config}, "tokenizer": {"kind": "characters"},
        "data": {"sources": [{"paths": str(text), "documents": "line"}], "holdout": 0.01},
        "objective": {"name": "causal"}, "length": length, "batch": {"sequences": sequences}, "precision": precision,
        "optimizer": {"learning_rate": 1e-4, "weight_decay": 0.1, "clip": 1}, "schedule": {"name": "constant"},
        "steps": steps, "evaluation": {"batches": 1}, "checkpoints": {"every": 1 << 30},
    }  # fmt: skip


def peak_of(process: subprocess.Popen) -> float:
    try:
        return int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def processor_time(process: subprocess.Popen) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def martlet(arguments, case: dict, precision: str) -> dict:
    """Read from outside, from the log that a run writes."""
    with tempfile.TemporaryDirectory() as folder:
        draw = random.Random(1)
        text = Path(folder) / "text"
        # Lines longer than a sequence, so that nearly every sequence is full.
        letters = "abcdefghijklmnopqrstuvwxyz .,"
        text.write_text("".join("".join(draw.choices(letters, k=case["rows"][1] * 40)) + "\n" for _ in range(60)))
        (Path(folder) / "recipe.yaml").write_text(json.dumps(recipe(case, text, 10000, precision)))
        run = [arguments.martlet, "train", f"{folder}/recipe.yaml", "-o", f"{folder}/run"]
        errors = Path(folder) / "errors"
        with errors.open("w") as stream:
            process = subprocess.Popen([*run, "--threads", str(arguments.threads)], stdout=stream, stderr=stream)
        log, started, peak, steps, used = Path(folder) / "run" / "log.jsonl", None, 0.0, [], []
        while process.poll() is None and (len(steps) < 4 or time.time() - started < arguments.seconds):
            lines = [line for line in log.read_text().splitlines() if '"loss"' in line] if log.exists() else []
            if lines and started is None:
                started = time.time()
            steps, peak = [json.loads(line) for line in lines if line.endswith("}")], max(peak, peak_of(process))
            if steps and (not used or used[-1][1] != steps[-1]["tokens"]):
                used.append((processor_time(process), steps[-1]["tokens"]))
            time.sleep(0.02)
        failed = process.poll()
        process.kill()
        process.wait()
        if failed:
            sys.exit(f"martlet: {errors.read_text()}")
    pairs = list(zip(steps[1:], steps[2:]))
    speeds = [(after["tokens"] - before["tokens"]) / (after["seconds"] - before["seconds"]) for before, after in pairs]
    (first, begun), (last, ended) = used[0], used[-1]
    return {"speed": statistics.median(speeds), "each": (ended - begun) / (last - first), "peak": peak, "steps": len(speeds)}


def pytorch(arguments, case: dict, precision: str, compiled: bool) -> dict:
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    sizes = {name: value for name, value in case.items() if name != "rows"}
    config = transformers.GPT2Config(**sizes, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    model = transformers.GPT2LMHeadModel(config)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    ids = torch.randint(0, config.vocab_size, case["rows"])
    times, started, used = [], None, 0.0
    while started is None or time.time() - started < arguments.seconds:
        begun = time.time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = forward(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.time() - begun)
        if started is None and len(times) == 2:  # the first steps compile and make memory
            times, started, used = [], time.time(), time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = ids.numel() * len(times) / (time.process_time() - used)
    return {"speed": ids.numel() / statistics.median(times), "each": each, "peak": peak, "steps": len(times)}


def llmc_folder(arguments) -> Path:
    """llm.c built, beside random weights and tokens in its formats; in the temporary folder."""
    folder = WORK / "llm.c"
    if not (folder / "train_gpt2").exists():
        shutil.rmtree(folder, ignore_errors=True)
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", arguments.llmc, folder], check=True)
        subprocess.run(["make", "CC=gcc", "train_gpt2"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    if not (folder / "gpt2_124M.bin").exists():
        import torch

        width, layers, padded = 768, 12, 50304
        with (folder / "gpt2_124M.bin").open("wb") as file:
            file.write(struct.pack("<256i", 20240326, 3, 1024, 50257, layers, 12, width, padded, *[0] * 248))
            count = padded * width + 1024 * width + layers * (12 * width * width + 13 * width) + 2 * width
            file.write((torch.randn(count) * 0.02).numpy().tobytes())
        data = folder / "dev" / "data" / "tinyshakespeare"
        data.mkdir(parents=True, exist_ok=True)
        for name in ("train", "val"):
            tokens = torch.randint(0, 50257, (1 << 16,), dtype=torch.int32).to(torch.uint16)
            header = struct.pack("<256i", 20240520, 1, tokens.numel(), *[0] * 253)
            (data / f"tiny_shakespeare_{name}.bin").write_bytes(header + tokens.numpy().tobytes())
    return folder


def llmc(arguments, case: dict) -> dict:
    folder = llmc_folder(arguments)
    environment = SILENT | {"OMP_NUM_THREADS": str(arguments.threads), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        ["stdbuf", "-oL", "./train_gpt2"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)  # fmt: skip
    times, started, peak, used = [], None, 0.0, []
    for line in process.stdout:
        found = re.search(r"took ([0-9.]+) ms", line)
        if found:
            started = started or time.time()
            times.append(float(found[1]) / 1000)
            peak = max(peak, peak_of(process))
            if len(times) < 11:  # then it evaluates
                used.append(processor_time(process))
        # It writes a text after twenty steps, which is not training.
        if started and (time.time() - started > arguments.seconds or len(times) == 20):
            break
    process.kill()
    sequences, length = case["rows"]
    each = sequences * length * (len(used) - 1) / (used[-1] - used[0])
    return {"speed": sequences * length / statistics.median(times[1:]), "each": each, "peak": peak, "steps": len(times) - 1}


def measure(arguments) -> None:
    """One turn of one side."""
    side, name, precision = arguments.only.split(",")
    case = CASES[name]
    if side == "martlet":
        result = martlet(arguments, case, precision)
    elif side == "llmc":
        result = llmc(arguments, case)
    else:
        result = pytorch(arguments, case, precision, side == "compiled")
    line = {"side": side, "case": name, "precision": precision, "threads": arguments.threads} | result
    print(json.dumps(line), flush=True)
    with open(arguments.record, "a") as record:
        record.write(json.dumps(line) + "\n")


def report(path: Path) -> None:
    turns = [json.loads(line) for line in path.read_text().splitlines()]
    print("| | side | tokens per second | Martlet is | per processor second | Martlet is | peak, MB | Martlet takes | turns |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in CASES:
        for precision in ("f32", "bf16"):
            found = {}
            for side in SIDES:
                own = [t for t in turns if (t["side"], t["case"], t["precision"]) == (side, name, precision)]
                if own:
                    medians = [statistics.median(t[key] for t in own) for key in ("speed", "each", "peak")]
                    found[side] = (*medians, len(own))
            ours = found.get("martlet")
            for side, (*values, count) in found.items():
                alone = not ours or side == "martlet"
                ratios = [f"{our / value:.2f}×" for our, value in zip(ours or values, values)]
                cells = [f"{value:.0f} | {'' if alone else ratio}" for value, ratio in zip(values, ratios)]
                print(f"| {name} {precision} | {side} | {' | '.join(cells)} | {count} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=".build/release/martlet")
    parser.add_argument("--cases", default="gpt2,baby")
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15, help="of each turn, after its first steps")
    parser.add_argument("--record", type=Path, default=WORK / "turns.jsonl")
    parser.add_argument("--through", default="", help="what each turn is started through")
    parser.add_argument("--llmc", default="https://github.com/karpathy/llm.c")
    parser.add_argument("--report", action="store_true", help="only the table of what was recorded")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.record.parent.mkdir(parents=True, exist_ok=True)
    if arguments.report:
        return report(arguments.record)
    if arguments.only:
        return measure(arguments)
    if "llmc" in arguments.sides:
        llmc_folder(arguments)
    for _ in range(arguments.rounds):
        for name in arguments.cases.split(","):
            for precision in arguments.precisions.split(","):
                for side in arguments.sides.split(","):
                    if side == "llmc" and (name, precision) != ("gpt2", "f32"):
                        continue
                    turn = [sys.executable, __file__, *sys.argv[1:], "--only", f"{side},{name},{precision}"]
                    if subprocess.run([*shlex.split(arguments.through), *turn], env=os.environ | SILENT).returncode:
                        print(f"{side}, {name}, {precision}: failed", file=sys.stderr, flush=True)
    report(arguments.record)


if __name__ == "__main__":
    main()
