"""Whether models and adapters that martlet trained say the same to transformers, sentence-transformers' modules and peft.

    python Tools/adaptation_agreement.py MARTLET RUN/model …

MARTLET is the command; each further argument a directory that a run has exported: a whole model, one with a pooled head, a sentence encoder, or
an adapter. The largest difference of logits or vectors is printed for each; the exit code is 1 where one is over 1e-4 of the largest.
With --families in place of directories, adapters are trained for a few steps on the tiny Llama, GPT-2, BERT and T5 of Tests/Fixtures, and
those are what peft loads.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoTokenizer
import transformers

TEXTS = [
    "I am still waiting on my card?",
    "Why was I charged a fee for this transfer, and when will it be returned to me?",
    "EU rejects German call to boycott British lamb.",
]
OTHER = "A plane is taking off."


FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "Fixtures", "families")
FAMILIES = {
    "llama": ("causal", "[q_proj, v_proj, o_proj, down_proj]"),
    "gpt2": ("causal", "[c_attn, c_proj, c_fc]"),
    "bert": ("masked", "[query, value, dense]"),
    "t5": ("sequence-to-sequence", "[q, v, wo]"),
}


def trained(martlet, family, folder):
    """An adapter after a few steps on letters, large enough to matter."""
    objective, targets = FAMILIES[family]
    text = os.path.join(folder, "text")
    with open(text, "w") as file:
        for i in range(200):
            line = "".join(chr(97 + (i * 7 + j * j) % 12) for j in range(12))
            file.write(line + ("\t" + line[::-1] if family == "t5" else "") + "\n")
    form = "tsv, columns: [0, 1]" if family == "t5" else "text, documents: line"
    recipe = f"""
model: {{from: {os.path.join(FIXTURES, family)}}}
tokenizer: {{kind: characters, special_tokens: ["[MASK]", "<s>", "</s>"]}}
objective: {{name: {objective}}}
adapters: {{rank: 4, alpha: 16, targets: {targets}, rank_stabilised: true}}
data: {{sources: [{{paths: {text}, format: {form}}}], document_start: <s>, document_end: </s>}}
length: 24
batch: {{tokens: 96}}
optimizer: {{learning_rate: 2e-2}}
steps: 20
"""
    path = os.path.join(folder, family + ".yaml")
    open(path, "w").write(recipe)
    done = subprocess.run([martlet, "train", path, "-o", os.path.join(folder, family)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return os.path.join(folder, family, "model")


def forward(martlet, path, ids, segments, targets=None):
    """What martlet's forward pass computes, by name."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as out:
        words = [martlet, "forward", "-m", path, "--tokens", ",".join(map(str, ids)), "-o", out.name]
        if segments and any(segments):
            words += ["--segments", ",".join(map(str, segments))]
        if targets:
            words += ["--decoder-tokens", ",".join(map(str, targets))]
        subprocess.run(words, check=True, capture_output=True)
        return load_file(out.name)


def modules(path):
    file = os.path.join(path, "modules.json")
    return [m["type"].split(".")[-1] for m in json.load(open(file))] if os.path.exists(file) else []


def pooled(path, hidden):
    """Pooling and what follows it, as sentence-transformers' modules say."""
    vector = None
    for module in json.load(open(os.path.join(path, "modules.json"))):
        kind, folder = module["type"].split(".")[-1], os.path.join(path, module["path"])
        if kind == "Pooling":
            config = json.load(open(os.path.join(folder, "config.json")))
            vector = hidden.mean(0) if config["pooling_mode_mean_tokens"] else hidden[0]
        elif kind == "Dense":
            weights = load_file(os.path.join(folder, "model.safetensors"))
            vector = vector @ weights["linear.weight"].T + weights["linear.bias"]
        elif kind == "Normalize":
            vector = torch.nn.functional.normalize(vector, dim=0)
    return vector


def reference(path):
    """The model as transformers or peft loads it."""
    adapter = os.path.join(path, "adapter_config.json")
    if not os.path.exists(adapter):
        config = AutoConfig.from_pretrained(path)
        name = (config.architectures or [None])[0]
        cls = getattr(transformers, name) if name and "Dense" not in modules(path) else AutoModel
        return cls.from_pretrained(path, dtype=torch.float32).eval()
    from peft import PeftModel

    transformers.logging.set_verbosity_error()

    base = json.load(open(adapter))["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(path)
    cls = getattr(transformers, config.architectures[0])
    if base.endswith(".gguf"):
        model = cls.from_pretrained(os.path.dirname(base), gguf_file=os.path.basename(base), dtype=torch.float32)
    else:
        model = cls.from_pretrained(base, config=config, dtype=torch.float32)
    return PeftModel.from_pretrained(model, path).eval()


def inputs(path, model):
    """Texts as the model's tokenizer reads them, or for the tiny ones plain numbers."""
    if not os.path.exists(os.path.join(path, "tokenizer_config.json")):
        ids = torch.tensor([[(t * t * 3 + 1) % 13 + 1 for t in range(11)]])
        return [{"input_ids": ids} | ({"decoder_input_ids": ids[:, :7]} if model.config.is_encoder_decoder else {})]
    tokenizer = AutoTokenizer.from_pretrained(path)
    pair = [OTHER] if "QuestionAnswering" in type(model).__name__ else []
    kept = ("input_ids", "token_type_ids", "attention_mask")
    return [{k: v for k, v in tokenizer(t, *pair, return_tensors="pt").items() if k in kept} for t in TEXTS]


def difference(martlet, path):
    model = reference(path)
    worst, largest = 0.0, 0.0
    for encoded in inputs(path, model):
        lists = [encoded[k][0].tolist() if k in encoded else None for k in ("input_ids", "token_type_ids", "decoder_input_ids")]
        ours = forward(martlet, path, *lists)
        with torch.no_grad():
            out = model(**encoded)
        if "Dense" in modules(path):
            wanted, found = pooled(path, out.last_hidden_state[0]), ours["logits.0"].flatten()
        elif hasattr(out, "start_logits"):
            wanted = torch.stack([out.start_logits[0], out.end_logits[0]], -1)
            found = torch.stack([ours["start_logits.0"].flatten(), ours["end_logits.0"].flatten()], -1)
        elif hasattr(out, "logits"):
            wanted, found = out.logits[0], ours["logits.0"].reshape(out.logits[0].shape)
        else:
            wanted, found = out.last_hidden_state[0], ours["hidden.0"]
        worst = max(worst, (wanted - found).abs().max().item())
        largest = max(largest, wanted.abs().max().item())
    return worst, largest


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        paths = sys.argv[2:]
        if paths == ["--families"]:
            paths = [trained(sys.argv[1], family, folder) for family in FAMILIES]
        for path in paths:
            worst, largest = difference(sys.argv[1], path)
            failed |= worst > 1e-4 * max(1, largest)
            print(f"{path}: differs by {worst:.2e}, the largest being {largest:.2f}")
    sys.exit(failed)


main()
