"""Training steps of `martlet train` and of PyTorch, in turn: processor seconds per thousand tokens and peak memory.

    python Benchmarks/Training/compare.py --martlet PATH [--case gpt2|baby] [--steps N] [--rounds N] [--threads N]

Processor time is what a busy machine leaves comparable; both sides wait without spinning (Martlet's threads park, OpenMP is told to).
Needs torch and transformers. GPT-2 124M with 4 sequences of 64, and nanoGPT's shakespeare baby with 16 of 256; AdamW, clipping, f32.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "gpt2": {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "rows": (4, 64)},
    "baby": {"vocab_size": 65, "n_embd": 384, "n_layer": 6, "n_head": 6, "n_positions": 256, "rows": (16, 256)},
}
SILENT = {"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def recipe(case: dict, text: Path, steps: int) -> dict:
    sequences, length = case["rows"]
    config = {name: value for name, value in case.items() if name != "rows"} | {"model_type": "gpt2"}
    return {
        "model": {"config": config}, "tokenizer": {"kind": "characters"},
        "data": {"sources": [{"paths": str(text), "documents": "line"}], "holdout": 0.01},
        "objective": {"name": "causal"}, "length": length, "batch": {"sequences": sequences},
        "optimizer": {"learning_rate": 1e-4, "weight_decay": 0.1, "clip": 1}, "schedule": {"name": "constant"},
        "steps": steps, "evaluation": {"batches": 1}, "checkpoints": {"every": 1 << 30},
    }  # fmt: skip


def martlet(binary: str, case: dict, steps: int, threads: int) -> tuple[float, float]:
    """Processor seconds per thousand tokens after the first step, and the peak in MB; read from outside while it runs."""
    with tempfile.TemporaryDirectory() as folder:
        draw = random.Random(1)
        text = Path(folder) / "text"
        text.write_text("".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz .,", k=300)) + "\n" for _ in range(2000)))
        (Path(folder) / "recipe.yaml").write_text(json.dumps(recipe(case, text, steps + 1)))
        run = [binary, "train", f"{folder}/recipe.yaml", "-o", f"{folder}/run", "--threads", str(threads)]
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        points, peak, log = [], 0.0, Path(folder) / "run" / "log.jsonl"
        while process.poll() is None and len(points) < steps:
            lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
            lines = [line for line in lines if "tokens" in line]
            if len(lines) > len(points):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
                used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                points += [(used, lines[-1]["tokens"])] * (len(lines) - len(points))
            time.sleep(0.02)
        process.kill()
        process.wait()
        (first, tokens), (last, end) = points[0], points[-1]
        return (last - first) / (end - tokens) * 1000, peak


def pytorch(name: str, steps: int, threads: int) -> tuple[float, float]:
    run = [sys.executable, __file__, "--inside", "--case", name, "--steps", str(steps), "--threads", str(threads)]
    answer = subprocess.run(run, env=os.environ | SILENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    cost, peak = answer.stdout.split()
    return float(cost), float(peak)


def inside(case: dict, steps: int, threads: int) -> None:
    import resource

    import torch
    import transformers

    torch.set_num_threads(threads)
    sizes = {name: value for name, value in case.items() if name != "rows"}
    config = transformers.GPT2Config(**sizes, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    model = transformers.GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    ids = torch.randint(0, config.vocab_size, case["rows"])
    start = 0.0
    for step in range(steps):
        if step == 1:
            start = time.process_time()
        model(ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    cost = (time.process_time() - start) / (ids.numel() * (steps - 1)) * 1000
    print(cost, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=".build/release/martlet")
    parser.add_argument("--case", choices=CASES, default="gpt2")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    case = CASES[arguments.case]
    if arguments.inside:
        return inside(case, arguments.steps, arguments.threads)
    for _ in range(arguments.rounds):
        ours = martlet(arguments.martlet, case, arguments.steps, arguments.threads)
        theirs = pytorch(arguments.case, arguments.steps, arguments.threads)
        print(f"{arguments.case}: martlet {ours[0]:.2f} s per 1,000 tokens, {ours[1]:.0f} MB; "
              f"PyTorch {theirs[0]:.2f} s, {theirs[1]:.0f} MB; "
              f"speed {theirs[0] / ours[0]:.2f}, memory {ours[1] / theirs[1]:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
