"""Draws configurations and compares what the reference computes under each with what the command computes.

    python Tools/configuration_draws.py --martlet .build/debug/martlet [--count 2000] [--seed 1] [--types llama bert …]
    python Tools/configuration_draws.py --martlet .build/debug/martlet --again FILE

A draw is a fixture's configuration with some keys of its class changed and some keys that its class does not read: spelled by
publishers, or read by other classes. Draws that the reference itself refuses do not count. Told at the end: how many agree, and every
one that the command refused or computed otherwise (beyond 1e-4 of the largest value). `--again` tries those once more that an earlier
run has told. Needs the packages of fixtures/requirements.txt
with transformers 5.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

import torch
import transformers
from safetensors.torch import load_file

import weights

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "Tests" / "Fixtures" / "families"
KEYS = json.loads((ROOT / "Sources" / "CModelsData" / "configuration_keys.json").read_text())
TOLERANCE = 1e-4

ACTIVATIONS = ["silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2",
               "tanh", "sigmoid", "gelu_python_tanh"]  # fmt: skip
# What publishers write and no class reads.
SPELLED = {"_num_labels": 3, "use_mrope": False, "is_llama_config": True, "rope_interleaved": False, "language": "english",
           "name": "x", "max_sequence_length": 2048, "directionality": "bidi", "pooler_fc_size": 768,
           "pooler_type": "first_token_transform", "sentence_transformers": {"activation_fn": "Identity"},
           "gradient_checkpointing": True, "unsloth_version": "2026.1", "mlp_layer_types": ["dense"], "rotary": False,
           "partial_rotary_factor": 0.5, "quantization": None, "num_experts_shared": 3, "model_max_length": 40,
           "transformers_weights": "x", "auto_map": {"AutoModel": "a.B"}, "time_step_limit": [0.0, float("inf")]}  # fmt: skip
SIZES = {"intermediate_size": [20, 28, 32], "hidden_dim": [20, 32], "ffn_dim": [20, 32], "d_ff": [20, 32],
         "n_inner": [None, 20, 32], "num_hidden_layers": [1, 2, 3], "n_layer": [1, 2], "n_layers": [1, 2],
         "num_layers": [1, 2], "decoder_layers": [1, 2], "encoder_layers": [1, 2], "num_decoder_layers": [None, 1, 2],
         "num_key_value_heads": [None, 1, 2, 4], "head_dim": [None, 6, 8], "max_position_embeddings": [40, 64],
         "sliding_window": [None, 3, 7], "max_window_layers": [0, 1, 2], "window_size": [3, 5], "vocab_size": [64, 80],
         "relative_attention_num_buckets": [8, 32], "relative_attention_max_distance": [20, 128], "d_kv": [4, 8],
         "query_pre_attn_scalar": [8, 24, 256], "num_experts_per_tok": [1, 2], "encoder_ffn_dim": [20, 32],
         "decoder_ffn_dim": [20, 32], "type_vocab_size": [1, 2], "sliding_window_pattern": [2, 3]}  # fmt: skip
LEAVE = ("model_type", "is_encoder_decoder", "is_decoder", "add_cross_attention", "use_bidirectional_attention")


def value(key: str, default, config: dict):
    """Another value for a key of the class, or `leave`."""
    if key in SIZES:
        return random.choice(SIZES[key])
    if key == "layer_types":
        layers = next((config[name] for name in ("num_hidden_layers", "n_layer") if name in config), 2)
        return [random.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
    if key in ("hidden_act", "hidden_activation", "activation_function", "activation"):
        return random.choice(ACTIVATIONS)
    if key == "rope_parameters":
        return rotary()
    if isinstance(default, bool):
        return random.random() < 0.5
    if isinstance(default, float) and "eps" in key:
        return random.choice([1e-5, 1e-6, 1e-12, 1e-3])
    if key.endswith("_token_id") or key in ("use_cache", "initializer_range", "attention_dropout", "hidden_dropout_prob"):
        return default
    return leave


leave = object()


def rotary() -> dict:
    kind = random.choice(["default", "linear", "dynamic", "yarn", "llama3"])
    base = {"rope_theta": random.choice([1e4, 5e5]), "rope_type": kind}
    if kind != "default":
        base["factor"] = random.choice([2.0, 4.0])
    if kind in ("yarn", "llama3"):
        base["original_max_position_embeddings"] = 16
    if kind == "llama3":
        base |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    return base


def draw(base: dict) -> dict:
    own = KEYS[base["model_type"]]
    # A key and its other name would contradict each other.
    aliases = transformers.CONFIG_MAPPING[base["model_type"]].attribute_map or {}
    own = {key: value for key, value in own.items() if key not in aliases}
    config = dict(base)
    config.pop("transformers_version", None)
    for key in random.sample(sorted(own), min(len(own), random.randint(0, 4))):
        if key in LEAVE:
            continue
        new = value(key, own[key], config)
        if new is not leave:
            config[key] = new
    for key in random.sample(sorted(SPELLED), random.randint(0, 3)):
        config.setdefault(key, SPELLED[key])
    other = KEYS[random.choice(sorted(KEYS))]
    for key in random.sample(sorted(other), min(3, len(other))):
        if key not in own and key not in aliases and other[key] is not None:
            config.setdefault(key, flipped(other[key]))
    return config


def flipped(value):
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else value


def reference(config: dict, folder: Path, number: int):
    """Writes the model; its inputs and outputs, or None where the reference does not run it."""
    (folder / "config.json").write_text(json.dumps(config))
    try:
        described = transformers.AutoConfig.from_pretrained(folder)
        model = getattr(transformers, config["architectures"][0])(described)
        weights.draw(model, "draw", number, 0.3, 0.3)
        model.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(config))
        # Eager attention adds Falcon's linear bias twice.
        code = "sdpa" if config["model_type"] == "falcon" else "eager"
        model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation=code).eval()
        tokens = weights.tokens("draw", number, 13, 60)
        inputs = {"input_ids": tokens}
        if described.is_encoder_decoder and hasattr(model, "generate") and "Classification" not in type(model).__name__:
            inputs["decoder_input_ids"] = weights.tokens("draw/decoder", number, 7, 60)
        with torch.no_grad():
            output = model(**inputs)
            exact = model.double()(**inputs)
        logits = first(output)
        if not torch.isfinite(logits).all() or (first(exact) - logits).abs().max() > 2e-5 * logits.abs().max().clamp(min=1):
            return None
        return inputs, logits
    except Exception:
        return None


def first(output):
    for name in ("logits", "start_logits", "prediction_logits", "pooler_output", "last_hidden_state"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)[0]
    return output[0][0]


def ours(martlet: str, folder: Path, inputs: dict):
    result = folder / "out.safetensors"
    command = [martlet, "forward", "-m", str(folder), "--threads", "1", "-o", str(result), "--tokens",
               ",".join(map(str, inputs["input_ids"][0].tolist()))]  # fmt: skip
    if "decoder_input_ids" in inputs:
        command += ["--decoder-tokens", ",".join(map(str, inputs["decoder_input_ids"][0].tolist()))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    tensors = load_file(result)
    names = ("logits.0", "start_logits.0", "pooled.0", "hidden.0")
    found = next(tensors[name] for name in names if name in tensors)
    # One label for each row is a column here.
    return (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found), None


def again(told: Path) -> list[dict]:
    """The configurations in what an earlier run printed, each once."""
    lines = [line for line in told.read_text().splitlines() if " refused " in line or " differs " in line]
    found = {line[line.index('{"'):] for line in lines if '{"' in line}
    return [json.loads(text) for text in sorted(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--martlet", required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--types", nargs="*")
    parser.add_argument("--again", type=Path, help="what an earlier run printed")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    bases = [json.loads((path / "config.json").read_text()) for path in sorted(FIXTURES.iterdir())]
    bases = [base for base in bases if base["model_type"] in KEYS
             and (not arguments.types or base["model_type"] in arguments.types)]  # fmt: skip
    told, number, failures = Counter(), 0, []
    earlier = again(arguments.again) if arguments.again else None
    while told["agree"] + len(failures) < arguments.count and number < (4 * arguments.count if earlier is None else len(earlier)):
        number += 1
        if number % 100 == 0:
            print(f"{number} drawn: {dict(told)}, {len(failures)} refused or different", file=sys.stderr, flush=True)
        config = draw(random.choice(bases)) if earlier is None else earlier[number - 1]
        with tempfile.TemporaryDirectory() as scratch:
            expected = reference(config, Path(scratch), number)
            if expected is None:
                told["not run by the reference"] += 1
                continue
            result, refusal = ours(arguments.martlet, Path(scratch), expected[0])
        wanted = expected[1]
        if refusal:
            failures.append((config["model_type"], "refused", refusal[0].replace(scratch, "")[:400], config))
        elif result.shape != wanted.shape or (result - wanted).abs().max() > TOLERANCE * wanted.abs().max().clamp(min=1):
            worst = (result - wanted).abs().max().item() if result.shape == wanted.shape else "shape"
            failures.append((config["model_type"], "differs", worst, config))
        else:
            told["agree"] += 1
            continue
        kind, what, why, config = failures[-1]
        print(kind, what, why, json.dumps(config), flush=True)
    print(f"{dict(told)}, {len(failures)} refused or different")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
