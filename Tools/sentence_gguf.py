"""A trained encoder of sentences as the GGUF that ships: matrices in q8_0, its WordPieces, the mean of the rows.

    python Tools/sentence_gguf.py RUN/model Sources/CShippedModel/sentences.gguf

Positions are cut to CONTEXT. martlet itself writes decoders alone as GGUF.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from safetensors.numpy import load_file

sys.path.append(str(Path(__file__).parent / "fixtures"))
from gguf_parts import encoder, finish  # noqa: E402

CONTEXT = 128
EIGHT_BITS = gguf.GGMLQuantizationType.Q8_0
EMBEDDING = {
    "word_embeddings.weight": "token_embd.weight", "position_embeddings.weight": "position_embd.weight",
    "token_type_embeddings.weight": "token_types.weight", "LayerNorm.weight": "token_embd_norm.weight",
    "LayerNorm.bias": "token_embd_norm.bias",
}
LAYER = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}


def name(path: str) -> str:
    """What GGUF calls a tensor of transformers' BERT."""
    if path.startswith("embeddings."):
        return EMBEDDING[path.removeprefix("embeddings.")]
    _, _, layer, rest = path.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER[module]}.{kind}"


def settings(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_name("sentences")
    writer.add_license("apache-2.0")
    encoder(writer, config, context=CONTEXT)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def vocabulary(writer: gguf.GGUFWriter, tokenizer: dict) -> None:
    """First pieces of words have "▁" before them, the others nothing."""
    table = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    tokens, types = [""] * len(table), [gguf.TokenType.NORMAL] * len(table)
    for spelling, number in table.items():
        if spelling in special:
            tokens[number], types[number] = spelling, gguf.TokenType.CONTROL
        else:
            tokens[number] = spelling[2:] if spelling.startswith("##") and len(spelling) > 2 else "\u2581" + spelling
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    for role, spelling in {"unknown": "[UNK]", "seperator": "[SEP]", "padding": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}.items():
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", table[spelling])


def main() -> None:
    folder, output = Path(sys.argv[1]), sys.argv[2]
    writer = gguf.GGUFWriter(output, "bert")
    settings(writer, json.loads((folder / "config.json").read_text()))
    vocabulary(writer, json.loads((folder / "tokenizer.json").read_text()))
    for path, values in load_file(folder / "model.safetensors").items():
        path, values = path.removeprefix("bert."), values.astype(np.float32)
        if path.startswith("pooler.") or path.endswith("position_ids"):
            continue
        if path == "embeddings.position_embeddings.weight":
            writer.add_tensor(name(path), np.ascontiguousarray(values[:CONTEXT]))
        elif values.ndim == 2 and "token_type" not in path:
            writer.add_tensor(name(path), quantize(values, EIGHT_BITS), raw_dtype=EIGHT_BITS)
        else:
            writer.add_tensor(name(path), values)
    finish(writer)


main()
