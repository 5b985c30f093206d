/// What GGUF calls the weights that most decoders share. Source: the tensor names of the GGUF specification.
enum GGUFNames {
    static let decoder: WeightNames = [
        "tokens": "token_embd",
        "decoder.#.attention.normBefore": "blk.#.attn_norm",
        "decoder.#.attention.query": "blk.#.attn_q",
        "decoder.#.attention.key": "blk.#.attn_k",
        "decoder.#.attention.value": "blk.#.attn_v",
        "decoder.#.attention.output": "blk.#.attn_output",
        "decoder.#.attention.queryNorm": "blk.#.attn_q_norm",
        "decoder.#.attention.keyNorm": "blk.#.attn_k_norm",
        "decoder.#.feedForward.normBefore": "blk.#.ffn_norm",
        "decoder.#.feedForward.gate": "blk.#.ffn_gate",
        "decoder.#.feedForward.up": "blk.#.ffn_up",
        "decoder.#.feedForward.down": "blk.#.ffn_down",
        "decoder.outputNorm": "output_norm",
        "head": "output",
    ]
}
