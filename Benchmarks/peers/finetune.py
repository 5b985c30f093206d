"""Fine-tuning steps of `martlet train` beside PyTorch's: BANKING77 from all-MiniLM-L6-v2 with a classifier on the mean of the rows.

    python Benchmarks/peers/finetune.py MARTLET all-MiniLM-L6-v2 banking77 [--steps 40] [--rounds 3] [--threads 2] [--precisions f32,bf16]

Martlet never pads. PyTorch's batches are grouped by length (windows of 50 batches, sorted), as a careful user has them: random ones hold 65 %
padding and would take 2.9 times as long. The sides take turns, each turn is a process of its own; medians of seconds a step are shown, of the
clock and of the processors. The first step of a turn does not count. Leave the machine alone meanwhile. Needs torch, transformers, safetensors.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

LENGTH, BATCH, RATE = 128, 32, 3e-4


def texts(folder):
    rows = list(csv.DictReader(open(os.path.join(folder, "train.csv"), newline="")))
    names = sorted({row["category"] for row in rows})
    return [row["text"] for row in rows], [names.index(row["category"]) for row in rows], len(names)


def torch_turn(model, data, steps, precision, threads):
    """Prints seconds of each step, the rows of all, and seconds of processors."""
    import time

    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(model)
    body = AutoModel.from_pretrained(model, dtype=torch.float32)
    lines, labels, count = texts(data)
    head = torch.nn.Linear(body.config.hidden_size, count)
    parameters = list(body.parameters()) + list(head.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), weight_decay=0.01)
    encoded = tokenizer(lines, truncation=True, max_length=LENGTH)["input_ids"]
    order = torch.randperm(len(lines)).tolist()
    batches = []
    for first in range(0, len(order), 50 * BATCH):
        window = sorted(order[first : first + 50 * BATCH], key=lambda i: len(encoded[i]))
        batches += [window[i : i + BATCH] for i in range(0, len(window), BATCH)]
    batches = [batches[i] for i in torch.randperm(len(batches)).tolist()][:steps]
    body.train(), head.train()
    seconds, rows, used = [], 0, 0.0
    for number, batch in enumerate(batches):
        began = time.perf_counter()
        if number == 1:
            used = time.process_time()
        padded = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            hidden = body(**padded).last_hidden_state
            mask = padded["attention_mask"].unsqueeze(-1)
            logits = head((hidden * mask).sum(1) / mask.sum(1))
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.tensor([labels[i] for i in batch]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
        rows += sum(len(encoded[i]) for i in batch)
    processors = (time.process_time() - used) / max(1, len(seconds) - 1)
    print(json.dumps({"seconds": seconds[1:], "rows": rows / len(seconds), "processors": processors}))


def martlet_turn(martlet, model, data, steps, precision, threads):
    with tempfile.TemporaryDirectory() as folder:
        recipe = {
            "model": {"from": os.path.abspath(model)},
            "objective": {"name": "classification", "label": "category", "pooling": "mean"},
            "data": {"folder": os.path.abspath(data), "sources": [{"paths": "train.csv"}]},
            "length": LENGTH, "batch": {"examples": BATCH}, "precision": precision, "steps": steps,
            "optimizer": {"learning_rate": RATE, "betas": [0.9, 0.999], "weight_decay": 0.01, "clip": 1},
            "checkpoints": {"every": 1 << 30}, "threads": threads,
        }  # fmt: skip
        path = os.path.join(folder, "recipe.yaml")
        json.dump(recipe, open(path, "w"))

        def run(name, count):
            """Seconds of processors of a whole run."""
            words = [martlet, "train", path, "-o", f"{folder}/{name}", "--set", f"steps={count}"]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(words, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        # What a run of one step takes is not the others'.
        used = run("run", steps) - run("first", 1)
        log = [json.loads(line) for line in open(folder + "/run/log.jsonl")]
    seconds = [b["seconds"] - a["seconds"] for a, b in zip(log, log[1:])]
    return {"seconds": seconds, "rows": log[-1]["tokens"] / len(log), "processors": used / max(1, len(log) - 1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("martlet")
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        return torch_turn(options.model, options.data, options.steps, options.turn, options.threads)
    print("| precision | PyTorch, grouped: s/step | ms/row | Martlet: s/step | ms/row | ratio by rows | of processors |")
    print("|---|---|---|---|---|---|---|")
    for precision in options.precisions.split(","):
        turns = {"torch": [], "martlet": []}
        for _ in range(options.rounds):
            words = [sys.executable, __file__, *sys.argv[1:], "--turn", precision]
            done = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            turns["torch"].append(json.loads(done.splitlines()[-1]))
            turns["martlet"].append(
                martlet_turn(options.martlet, options.model, options.data, options.steps, precision, options.threads)
            )
        row = {}
        for side, found in turns.items():
            step = statistics.median(s for turn in found for s in turn["seconds"])
            rows = statistics.mean(turn["rows"] for turn in found)
            used = statistics.median(turn["processors"] for turn in found)
            row[side] = (step, 1000 * step / rows, used / rows)
        (a, b, c), (d, e, f) = row["torch"], row["martlet"]
        print(f"| {precision} | {a:.3f} | {b:.3f} | {d:.3f} | {e:.3f} | {b / e:.2f} | {c / f:.2f} |")


main()
