"""Files of `martlet quantize` in other readers: the gguf package decodes the same numbers, llama.cpp computes nearly the same logits, and
llama.cpp's own quantizer chooses the same types and loses no less.

    python quantized_files.py path/to/martlet MODEL [--text FILE] [--types Q8_0,Q4_K_M,…]

MODEL is a Hugging Face directory or a GGUF of a decoder. Needs: numpy, safetensors, gguf, llama-cpp-python.
"""

import argparse
import ctypes
import json
import subprocess
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

TYPES = "Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q4_K_S,Q4_K_M,Q5_K_S,Q5_K_M,Q6_K"


def tensors(path):
    """name → (type, numbers)."""
    return {t.name: (t.tensor_type.name, gguf.quants.dequantize(t.data, t.tensor_type)) for t in gguf.GGUFReader(path).tensors}


def importance(path):
    """llama.cpp's array of importance entries: mean squares by tensor."""
    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    entries = {}
    for name, sums in found.items():
        if name.endswith(".in_sum2"):
            name = name.removesuffix(".in_sum2")
            counts = np.maximum(found[name + ".counts"].reshape(-1, 1), 1)
            entries[name] = np.ascontiguousarray((sums.reshape(len(counts), -1) / counts).astype(np.float32))
    data = (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))()
    for index, (name, values) in enumerate(entries.items()):
        pointer = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        data[index] = llama_cpp.llama_model_imatrix_data(name.encode(), pointer, values.size)
    return data, entries


def quantize(source, target, file_type, data):
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{file_type}")
    if data is not None:
        options.imatrix = data
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(options)) == 0


def error(original, rounded, weights=1.0):
    original, rounded = original.astype(np.float64), rounded.astype(np.float64)
    return np.sqrt((weights * (original - rounded) ** 2).sum() / (weights * original**2).sum())


def llama_logits(path, ids):
    engine = llama_cpp.Llama(str(path), n_ctx=512, n_batch=512, logits_all=True, verbose=False, n_threads=2)
    engine.eval(ids)
    logits = np.array(engine.scores[: len(ids)])
    engine.close()
    return logits


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--text")
    parser.add_argument("--types", default=TYPES)
    options = parser.parse_args()
    run = lambda *a: subprocess.run([options.binary, *map(str, a)], check=True, capture_output=True)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source, ours, theirs, again = (folder / f"{name}.gguf" for name in ("source", "ours", "theirs", "again"))
        run("convert", "-m", options.model, "-o", source, "--type", "f32")
        exact = tensors(source)
        ids = [int(i) for i in (np.arange(1, 33) * 7919) % exact["token_embd.weight"][1].shape[0]]
        data, entries = None, {}
        calibrated = []
        if options.text:
            matrix = folder / "importance.gguf"
            run("quantize", "-m", source, "--calibrate", options.text, "--save-importance", matrix)
            data, entries = importance(matrix)
            calibrated = ["--importance", matrix]
        print("| type | tensors | our error / llama.cpp's, worst | weighted, worst | logits: ours from exact | llama.cpp on our file | on its own |")
        print("|---|---|---|---|---|---|---|")
        wanted = llama_logits(source, ids)
        for file_type in options.types.split(","):
            ratios = {}
            for kind, extra, entry in [("plain", [], None), ("weighted", calibrated, data)][: 2 if data is not None else 1]:
                run("quantize", "-m", source, "--type", file_type, "-o", ours, *extra)
                quantize(source, theirs, file_type, entry)
                mine, other = tensors(ours), tensors(theirs)
                run("convert", "-m", ours, "-o", again, "--type", "f32")
                for name, (_, numbers) in tensors(again).items():
                    if not np.array_equal(numbers, mine[name][1]):
                        failures.append(f"{file_type} {name}: gguf decodes other numbers")
                ratios[kind] = 0
                for name, (chosen, numbers) in mine.items():
                    if chosen != other[name][0]:
                        failures.append(f"{file_type} {kind} {name}: {chosen}, llama.cpp {other[name][0]}")
                    elif chosen not in ("F32", "F16", "BF16"):
                        original = exact[name][1]
                        weights = 1.0
                        if kind == "weighted" and name in entries:
                            mean = entries[name].mean(1, keepdims=True)
                            weights = entries[name] / mean + 0.01
                            weights = weights[:, None, :] if original.ndim == 3 else weights
                        ratio = error(original, numbers, weights) / error(original, other[name][1], weights)
                        ratios[kind] = max(ratios[kind], ratio)
                        if ratio > 1:
                            failures.append(f"{file_type} {kind} {name}: {ratio:.4f} of llama.cpp's error")
            logits = folder / "logits.safetensors"
            run("forward", "-m", ours, "--tokens", ",".join(map(str, ids)), "-o", logits)
            here = load_file(logits)["logits.0"]
            there, own = llama_logits(ours, ids), llama_logits(theirs, ids)
            from_exact, close = error(wanted, here), error(here, there)
            if close > 0.03 + 0.5 * from_exact:
                failures.append(f"{file_type}: llama.cpp's logits on our file are {close:.4f} away")
            weighted = f"{ratios['weighted']:.4f}" if "weighted" in ratios else ""
            print(f"| {file_type} | {len(exact)} | {ratios['plain']:.4f} | {weighted} | {from_exact:.4f} | {error(wanted, there):.4f} (from ours {close:.4f}) "
                  f"| {error(wanted, own):.4f} |", flush=True)  # fmt: skip
    print(json.dumps(failures, indent=1) if failures else "no failure")
    raise SystemExit(bool(failures))


main()
