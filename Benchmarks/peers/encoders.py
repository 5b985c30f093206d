"""Martlet beside PyTorch, onnxruntime and CTranslate2 on one encoder of BERT's family, alternating, medians and ratios.

    python encoders.py path/to/martlet FOLDER [--batch 32] [--tokens 128] [--repeat 5] [--threads 2] [--weights f32 fewer] [--work KEPT]

FOLDER is a Hugging Face directory with a tokenizer, such as all-MiniLM-L6-v2. Every engine computes the last hidden states of the same number of
tokens. Weights in fewer bits: int8 (dynamic in PyTorch, onnxruntime and CTranslate2, q8_0 blocks in Martlet) and bf16.
With --work the models converted for the peers are kept there, and a second run begins to measure at once.
Needs: torch, transformers, onnx, onnxscript, onnxruntime, ctranslate2. A peer that will not load is named and left out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from transformers import BertModel

warnings.filterwarnings("ignore")


class Hidden(torch.nn.Module):
    """The last hidden states alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def torch_engines(folder, ids):
    mask = torch.ones_like(ids)

    def engine(model):
        def run():
            with torch.inference_mode():
                model(input_ids=ids, attention_mask=mask)
        return run

    def load():
        return BertModel.from_pretrained(folder, dtype=torch.float32).eval()

    yield "f32", "PyTorch", lambda: engine(load())
    yield "fewer bits", "PyTorch bf16", lambda: engine(load().to(torch.bfloat16))
    yield "fewer bits", "PyTorch int8", lambda: engine(torch.ao.quantization.quantize_dynamic(load(), {torch.nn.Linear}, dtype=torch.qint8))


def onnx_engines(folder, ids, threads, work):
    import onnxruntime

    plain, small = work / "model.onnx", work / "model-int8.onnx"
    mask = torch.ones_like(ids)

    def export():
        if not plain.exists():
            model = BertModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
            torch.onnx.export(Hidden(model), (ids, mask), str(plain), input_names=["input_ids", "attention_mask"],
                              output_names=["hidden"], dynamo=False, opset_version=17)

    def engine(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        feed = {i.name: feed[i.name] for i in session.get_inputs()}
        return lambda: session.run(["hidden"], feed)

    def quantized():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        if not small.exists():
            export()
            quantize_dynamic(str(plain), str(small), weight_type=QuantType.QInt8)
        return engine(small)

    yield "f32", "onnxruntime", lambda: (export(), engine(plain))[1]
    yield "fewer bits", "onnxruntime int8", quantized


def ctranslate2_engines(folder, ids, threads, work):
    import ctranslate2

    def engine(kind):
        converted = work / "ctranslate2"
        if not converted.exists():
            ctranslate2.converters.TransformersConverter(folder).convert(str(converted))
        encoder = ctranslate2.Encoder(str(converted), device="cpu", compute_type=kind, intra_threads=threads, inter_threads=1)
        rows = ids.tolist()
        return lambda: np.array(encoder.forward_batch(rows).last_hidden_state)

    yield "f32", "CTranslate2", lambda: engine("float32")
    yield "fewer bits", "CTranslate2 int8", lambda: engine("int8")
    yield "fewer bits", "CTranslate2 bf16", lambda: engine("bfloat16")


def martlet(binary, folder, options, weights):
    arguments = [binary, "bench", "-m", folder, "--json", "--prompt", options.tokens, "--batch", options.batch, "--repeat", 1]
    arguments += ["--threads", options.threads] + (["--weights", weights] if weights else [])
    result = subprocess.run([str(a) for a in arguments], check=True, capture_output=True)
    return json.loads(result.stdout)["encode"]["sequences_per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("folder")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", nargs="+", choices=["f32", "fewer"], default=["f32", "fewer"])
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    groups = {"f32": "f32", "fewer": "fewer bits"}
    groups = [groups[weights] for weights in options.weights]
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    ids = torch.arange(options.batch * options.tokens).reshape(options.batch, options.tokens) * 7919 % 29000 + 1000
    engines = []
    sources = [torch_engines(options.folder, ids), onnx_engines(options.folder, ids, options.threads, work),
               ctranslate2_engines(options.folder, ids, options.threads, work)]
    for source in sources:
        try:
            for group, name, load in source:
                if group not in groups:
                    continue
                try:
                    run = load()
                    run()
                    engines.append((group, name, run, []))
                except Exception as error:  # a peer that this machine or version lacks is no reason to stop
                    print(f"{name}: left out: {str(error).splitlines()[0] if str(error) else type(error).__name__}", file=sys.stderr)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    own = {"f32": ("Martlet", None, []), "fewer bits": ("Martlet q8_0", "q8_0", [])}
    own = {group: own[group] for group in groups}
    for _ in range(options.repeat):
        for name, weights, speeds in own.values():
            speeds.append(martlet(options.binary, options.folder, options, weights))
        for _, _, run, speeds in engines:
            began = time.perf_counter()
            run()
            speeds.append(options.batch / (time.perf_counter() - began))
    print(f"batch {options.batch}, {options.tokens} tokens, {options.threads} threads; texts per second, median of {options.repeat}\n")
    print("| weights | engine | texts/s | Martlet's ratio to it |\n|---|---|---|---|")
    for group, (name, _, speeds) in own.items():
        ours = statistics.median(speeds)
        print(f"| {group} | {name} | {ours:.1f} | |")
        for other, peer, _, theirs in engines:
            if other == group:
                print(f"| {group} | {peer} | {statistics.median(theirs):.1f} | {ours / statistics.median(theirs):.2f} |")


main()
