"""Random small models of every family, through transformers and through the command: logits, hidden states, continuations, saving.

    python Tools/cross-check/families.py --martlet .build/release/martlet --from 0 --count 200

Needs what Tools/fixtures/requirements.txt names. Each number is a configuration of its own (see random_configs.py). A draw whose float32
is not clearly enough is told and passed over; a refusal or a difference is told, and makes the exit status 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures"))

import torch
import transformers
from safetensors.torch import load_file

import random_configs
import weights

TOLERANCE = 1e-4  # of the largest value
ROUNDING = 2e-5
NEW_TOKENS = 8
MARGIN = 2e-3


class Difference(Exception):
    pass


def run(command: list[str], text: str = "") -> str:
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode != 0:
        raise Difference(f"{command[1]} exits with {result.returncode}: {result.stderr.strip()[:600]}")
    return result.stdout


def write(seed: int, config: dict, folder: Path) -> torch.nn.Module:
    """Saves a random model, its configuration as spelled or as transformers writes it, and a tokenizer of numbered words."""
    (folder / "config.json").write_text(json.dumps(config))
    parsed = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config["architectures"][0])(parsed)
    std = 0.8 if config.get("scale_embedding") else 0.35
    weights.draw(model, "cross-check", seed, std, 0.4)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if seed % 3:
        (folder / "config.json").write_text(json.dumps(config))
    words = {f"w{i}": i for i in range(max(config["vocab_size"], config.get("decoder_vocab_size", 0)))}
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": None,
                 "pre_tokenizer": {"type": "WhitespaceSplit"},
                 "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"}}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return load(folder, config)


def load(folder: Path, config: dict) -> torch.nn.Module:
    implementation = "sdpa" if config.get("alibi") else "eager"
    model = getattr(transformers, config["architectures"][0]).from_pretrained(
        folder, dtype=torch.float32, attn_implementation=implementation, experts_implementation="eager"
    )
    return model.eval()


def inputs(seed: int, config: dict, index: int) -> dict[str, torch.Tensor]:
    length = (7, 19)[index]
    tokens = weights.tokens(f"cross-check/{seed}", index, length, config["vocab_size"])
    given = {"input_ids": tokens}
    if config["model_type"] == "longformer" and "Sequence" not in config["architectures"][0]:
        given["global_attention_mask"] = (torch.arange(length) % 5 == 1).long()[None]
    if config.get("is_encoder_decoder"):
        if config.get("eos_token_id") == 2:
            tokens[0, -1] = 2  # classified by the last end token
        elif "ForConditional" in config["architectures"][0] or "MTModel" in config["architectures"][0]:
            start = torch.tensor([[config["decoder_start_token_id"]]])
            rest = weights.tokens(f"cross-check/{seed}/decoder", index, 5, config.get("decoder_vocab_size", config["vocab_size"]))
            given["decoder_input_ids"] = torch.cat([start, rest], dim=1)
    return given


OUTPUTS = {"logits": "logits", "prediction_logits": "logits", "seq_relationship_logits": "next_sentence",
           "sop_logits": "next_sentence", "start_logits": "start_logits", "end_logits": "end_logits",
           "pooler_output": "pooled", "last_hidden_state": "hidden"}  # fmt: skip


def forward(martlet: str, seed: int, config: dict, folder: Path, model: torch.nn.Module) -> str | None:
    """Compares one pass over two sequences; returns why it was passed over, if it was."""
    precise = load(folder, config).double()
    command = [martlet, "forward", "-m", str(folder), "-o", str(folder / "out.safetensors"), "--threads", "1"]
    expected = []
    for index in range(2):
        given = inputs(seed, config, index)
        try:
            with torch.no_grad():
                output, exact = load(folder, config)(**given), precise(**given)
        except Exception as error:  # so that a configuration which only we run is told too
            return f"transformers says {type(error).__name__}: {str(error)[:200]}"
        for theirs, ours in OUTPUTS.items():
            value = getattr(output, theirs, None)
            if value is None:
                continue
            error = float((value - getattr(exact, theirs)).abs().max() / value.abs().max().clamp(min=1))
            if not error < ROUNDING:
                return f"float32 is {error:.0e} from float64"
            expected.append((f"{ours}.{index}", value[0]))
        command += ["--tokens", ",".join(map(str, given["input_ids"][0].tolist()))]
        if "global_attention_mask" in given:
            command += ["--globals", ",".join(map(str, given["global_attention_mask"][0].nonzero()[:, 0].tolist()))]
        if "decoder_input_ids" in given:
            command += ["--decoder-tokens", ",".join(map(str, given["decoder_input_ids"][0].tolist()))]
    run(command)
    written = load_file(folder / "out.safetensors")
    for name, wanted in expected:
        if name not in written:
            raise Difference(f"{name} is not written, only {sorted(written)}")
        found = written[name].reshape(wanted.shape)
        error = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))
        if not error < TOLERANCE:
            raise Difference(f"{name} is {error:.1e} away")
    return None


def saved(martlet: str, config: dict, folder: Path) -> None:
    """Written as a directory, and as GGUF where the format can say what the model is, it computes the same."""
    given = ",".join(map(str, inputs(0, config, 0)["input_ids"][0].tolist()))
    written = "decoder_input_ids" in inputs(0, config, 0)

    def numbers(model: Path) -> dict[str, torch.Tensor]:
        file = str(folder / "again.safetensors")
        more = ["--decoder-tokens", "1,2,3"] if written else []
        run([martlet, "forward", "-m", str(model), "-o", file, "--threads", "1", "--tokens", given, *more])
        return load_file(file)

    def compare(model: Path, tolerance: float) -> None:
        for name, found in numbers(model).items():
            error = float((found - wanted[name]).abs().max() / wanted[name].abs().max().clamp(min=1e-6))
            if error > tolerance:
                raise Difference(f"{name} of {model.name} is {error:.1e} away")

    wanted = numbers(folder)
    (folder / "tokenizer_config.json").write_text("{}")
    run([martlet, "convert", "-m", str(folder), "-o", str(folder / "copy")])
    compare(folder / "copy", 0)
    file = folder / "model.gguf"
    command = [martlet, "convert", "-m", str(folder), "-o", str(file), "--without-tokenizer"]
    if subprocess.run(command, capture_output=True).returncode == 0:
        compare(file, 1e-5)


def greedy(martlet: str, seed: int, config: dict, folder: Path, model: torch.nn.Module) -> None:
    """Greedy continuation and four beams of a decoder."""
    tokens = inputs(seed, config, 0)["input_ids"]
    text = tokens
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            best = load(folder, config)(text, use_cache=False).logits[0, -1].topk(2)
            if best.values[0] - best.values[1] < MARGIN:
                break
            text = torch.cat([text, best.indices[:1][None]], dim=1)
    wanted = text[0, tokens.shape[1] :].tolist()
    prompt = " ".join(f"w{t}" for t in tokens[0].tolist())
    command = [martlet, "generate", "-m", str(folder), "--json", "--threads", "1", "--max-tokens"]
    if wanted:
        found = json.loads(run([*command, str(len(wanted)), prompt]))["tokens"]
        if found != wanted and (config.get("rope_scaling") or {}).get("rope_type", (config.get("rope_scaling") or {}).get("type")) != "dynamic":
            raise Difference(f"greedy is {found}, not {wanted}")


def beams(martlet: str, seed: int, config: dict, folder: Path) -> None:
    """Four beams of a decoder, by transformers' `generate` without its cache."""
    tokens = inputs(seed, config, 0)["input_ids"]
    settings = {"do_sample": False, "use_cache": False, "max_new_tokens": NEW_TOKENS, "num_beams": 4,
                "eos_token_id": None, "pad_token_id": 0}  # fmt: skip
    found = []
    for net in (load(folder, config), load(folder, config).double()):
        net.generation_config = transformers.GenerationConfig(pad_token_id=0)
        chosen = transformers.GenerationConfig(**settings)
        found.append(net.generate(tokens, generation_config=chosen)[0, tokens.shape[1] :].tolist())
    if found[0] != found[1]:
        return
    prompt = " ".join(f"w{t}" for t in tokens[0].tolist())
    command = [martlet, "generate", "-m", str(folder), "--json", "--threads", "1", "--beams", "4", "--max-tokens"]
    result = json.loads(run([*command, str(NEW_TOKENS), prompt]))["tokens"]
    if result != found[0]:
        raise Difference(f"four beams give {result}, not {found[0]}")


def searched(martlet: str, seed: int, config: dict, folder: Path, model: torch.nn.Module) -> None:
    """Greedy and beam search of an encoder-decoder."""
    tokens = inputs(seed, config, 0)["input_ids"]
    special = {key: config.get(key) for key in ("decoder_start_token_id", "pad_token_id")}
    settings = {"do_sample": False, "use_cache": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": 5}
    (folder / "generation_config.json").write_text(json.dumps(settings | special))
    text = " ".join(f"w{t}" for t in tokens[0].tolist()) + "\n"
    for beams in (1, 4):
        found = []
        for net in (load(folder, config), load(folder, config).double()):
            net.generation_config = transformers.GenerationConfig(**special)
            chosen = transformers.GenerationConfig(**settings, **special, num_beams=beams)
            found.append(net.generate(tokens, generation_config=chosen)[0, 1:].tolist())
        if found[0] != found[1]:
            return
        command = [martlet, "translate", "-m", str(folder), "--json", "--threads", "1", "--beams", str(beams)]
        result = json.loads(run(command, text))["text"].split()
        wanted = [f"w{t}" for t in found[0]]
        if result != wanted:
            raise Difference(f"{beams} beams give {result}, not {wanted}")


def check(martlet: str, seed: int) -> tuple[str, str | None]:
    name, config = random_configs.draw(seed)
    architecture = config["architectures"][0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            model = write(seed, config, folder)
        except Exception as error:  # transformers refuses what cannot be
            return architecture, f"passed over: transformers says {type(error).__name__}: {str(error)[:200]}"
        try:
            doubt = forward(martlet, seed, config, folder, model)
            if doubt:
                return architecture, f"passed over: {doubt}"
            saved(martlet, config, folder)
            if architecture.endswith(("ForCausalLM", "LMHeadModel")):
                greedy(martlet, seed, config, folder, model)
                beams(martlet, seed, config, folder)
            if "ForConditional" in architecture or "MTModel" in architecture:
                searched(martlet, seed, config, folder, model)
        except Difference as difference:
            return architecture, f"{difference}\n    {json.dumps(config)}"
    return architecture, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--martlet", default=".build/release/martlet")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    passed = failed = 0
    for seed in range(arguments.first, arguments.first + arguments.count):
        architecture, trouble = check(arguments.martlet, seed)
        if trouble is None:
            continue
        print(f"{seed} {architecture}: {trouble}", flush=True)
        passed, failed = passed + trouble.startswith("passed over"), failed + (not trouble.startswith("passed over"))
    print(f"{arguments.count} configurations: {failed} failed, {passed} passed over")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
