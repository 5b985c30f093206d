"""Every file type of one model: size, perplexity and divergence, with scales searched for and as ggml rounds.

    python Benchmarks/quantization/file_types.py --martlet .build/release/martlet --model DIRECTORY --text wiki.test.raw \\
        [--types Q8_0 Q4_0 …] [--tokens 1921] [--window 480] [--results FILE]

With `--plain` the bytes are those of ggml's reference quantizers, hence of llama.cpp's files of the same types without an importance
matrix. Results are kept line by line; types that stand there already are not measured again. Ends with a table in Markdown.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

TYPES = ["Q8_0", "Q4_0", "Q4_K_M", "Q6_K", "Q5_K_M", "Q4_1", "Q5_0", "Q5_1", "Q5_K_S", "Q4_K_S", "IQ4_NL", "IQ4_XS", "Q3_K_M",
         "Q3_K_L", "Q3_K_S", "Q2_K", "Q2_K_S"]  # fmt: skip


def measure(arguments, kind: str, plain: bool) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        command = [arguments.martlet, "quantize", "-m", arguments.model, "--type", kind, "--report", "--text", arguments.text,
                   "--tokens", str(arguments.tokens), "--window", str(arguments.window), "--json", "-o", str(path),
                   *(["--plain"] if plain else []), *(["--threads", str(arguments.threads)] if arguments.threads else [])]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads(done.stdout)
        row = {key: value for key, value in report["formats"][0].items() if key != "tensors"}
        row |= {"plain": plain, "file": path.stat().st_size, "tokens": report["tokens"], "reference": report["reference_perplexity"]}
        if arguments.speed:
            bench = subprocess.run([arguments.martlet, "bench", "-m", str(path), "--prompt", "256", "--generate", "64", "--json"],
                                   capture_output=True, text=True, check=True)  # fmt: skip
            row["speed"] = json.loads(bench.stdout)
        return row


def table(rows: list[dict]) -> str:
    lines = ["| type | MB | bits/weight | perplexity | KL | KL as ggml rounds | same top |", "|---|---|---|---|---|---|---|"]
    for kind in TYPES:
        own = next((row for row in rows if row["type"] == kind and not row["plain"]), None)
        plain = next((row for row in rows if row["type"] == kind and row["plain"]), None)
        if own is None:
            continue
        other = f"{plain['kl_mean']:.5f}" if plain else ""
        lines.append(f"| {kind} | {own['file'] / 1e6:.1f} | {own['bits_per_weight']:.2f} | {own['perplexity']:.3f} | "
                     f"{own['kl_mean']:.5f} | {other} | {own['top1_agreement'] * 100:.1f} % |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--martlet", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--types", nargs="*", default=TYPES)
    parser.add_argument("--tokens", type=int, default=1921)
    parser.add_argument("--window", type=int, default=480)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--speed", action="store_true", help="also what `bench` says of each file")
    parser.add_argument("--results", type=Path, default=Path("types.jsonl"))
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    for kind in arguments.types:
        for plain in (False, True):
            if any(row["type"] == kind and row["plain"] == plain for row in rows):
                continue
            rows.append(measure(arguments, kind, plain))
            with arguments.results.open("a") as file:
                print(json.dumps(rows[-1]), file=file, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
