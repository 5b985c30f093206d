"""Random-weight models of real shapes, for measuring speed: every engine then computes the same thing.

    python make_models.py FOLDER [NAME …]
        decoders: NAME-bf16.gguf, NAME-q8_0.gguf, NAME-q4_0.gguf, NAME-q4_k_m.gguf
        transformer-base: a Marian model as a Hugging Face directory, and the same weights beside it in transformer-base-ctranslate2

Needs: numpy, gguf, llama-cpp-python (whose quantizer makes the quantized files); torch, transformers, ctranslate2 for transformer-base.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

SHAPES = {
    "qwen2.5-0.5b": dict(arch="qwen2", vocabulary=151936, width=896, hidden=4864, layers=24, heads=14, key_heads=2, head=64, tied=True),
    "llama-3.2-1b": dict(arch="llama", vocabulary=128256, width=2048, hidden=8192, layers=16, heads=32, key_heads=8, head=64, tied=True),
    "tinyllama-1.1b": dict(arch="llama", vocabulary=32000, width=2048, hidden=5632, layers=22, heads=32, key_heads=4, head=64, tied=False),
}

QUANTIZED = {"q8_0": "Q8_0", "q4_0": "Q4_0", "q4_k_m": "Q4_K_M"}


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def write(path, name, shape):
    import gguf

    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, shape["arch"])
    writer.add_name(name)
    writer.add_context_length(32768)
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["hidden"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["key_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_count(shape["head"])
    tokens = byte_alphabet()
    tokens += [f"token{i}" for i in range(len(tokens), shape["vocabulary"])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if shape["arch"] == "qwen2" else "llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges([f"{tokens[97]} {tokens[98]}"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)

    def matrix(key, rows, columns):
        values = (random.standard_normal((rows, columns), dtype=np.float32) * 0.02).view(np.uint32)
        halves = ((values + 0x7FFF + ((values >> 16) & 1)) >> 16).astype(np.uint16)
        writer.add_tensor(key, halves.view(np.uint8), raw_shape=(rows, columns * 2), raw_dtype=gguf.GGMLQuantizationType.BF16)

    def vector(key, count, value=None):
        values = np.full(count, value, np.float32) if value is not None else random.standard_normal(count, dtype=np.float32) * 0.02
        writer.add_tensor(key, values)

    width, queries, keys = shape["width"], shape["heads"] * shape["head"], shape["key_heads"] * shape["head"]
    matrix("token_embd.weight", shape["vocabulary"], width)
    if not shape["tied"]:
        matrix("output.weight", shape["vocabulary"], width)
    vector("output_norm.weight", width, 1)
    for layer in range(shape["layers"]):
        block = f"blk.{layer}."
        vector(block + "attn_norm.weight", width, 1)
        vector(block + "ffn_norm.weight", width, 1)
        for part, rows in (("q", queries), ("k", keys), ("v", keys)):
            matrix(block + f"attn_{part}.weight", rows, width)
            if shape["arch"] == "qwen2":
                vector(block + f"attn_{part}.bias", rows)
        matrix(block + "attn_output.weight", width, queries)
        matrix(block + "ffn_gate.weight", shape["hidden"], width)
        matrix(block + "ffn_up.weight", shape["hidden"], width)
        matrix(block + "ffn_down.weight", width, shape["hidden"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_decoder(folder, name):
    import llama_cpp

    source = folder / f"{name}-bf16.gguf"
    if not source.exists():
        write(str(source), name, SHAPES[name])
    for suffix, kind in QUANTIZED.items():
        target = folder / f"{name}-{suffix}.gguf"
        if target.exists():
            continue
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
        parameters.nthread = 2
        code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
        if code:
            raise SystemExit(f"{target}: quantizing failed with {code}")


def make_translator(folder, name):
    """The Transformer's base shape in Marian's arrangement: 6 + 6 layers, 8 heads of 64, 2,048 hidden, 32,767 tokens and padding."""
    import torch
    from ctranslate2.converters.transformers import MarianMTLoader
    from transformers import MarianConfig, MarianMTModel

    vocabulary, padding = 32768, 32767
    torch.manual_seed(1)
    model = MarianMTModel(MarianConfig(
        vocab_size=vocabulary, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8, decoder_attention_heads=8,
        encoder_ffn_dim=2048, decoder_ffn_dim=2048, activation_function="relu", max_position_embeddings=512, scale_embedding=True,
        pad_token_id=padding, eos_token_id=0, bos_token_id=None, decoder_start_token_id=padding, forced_eos_token_id=None)).eval()
    model.save_pretrained(folder / name)
    target = folder / f"{name}-ctranslate2"
    target.mkdir(exist_ok=True)
    with torch.no_grad():
        spec = MarianMTLoader().get_model_spec(model)
        tokens = ["</s>", "<unk>"] + [f"token{i}" for i in range(2, vocabulary - 1)]
        spec.register_source_vocabulary(tokens)
        spec.register_target_vocabulary(tokens)
        spec.config.eos_token, spec.config.unk_token, spec.config.decoder_start_token = "</s>", "<unk>", "</s>"
        spec.validate()
        spec.optimize()
        spec.save(str(target))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or [*SHAPES, "transformer-base"]:
        (make_translator if name == "transformer-base" else make_decoder)(folder, name)


main()
