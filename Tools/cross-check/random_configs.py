"""Draws small configurations that nobody listed: odd widths, absent and null keys, older spellings, scalings, heads. Knows no weights."""

from random import Random

SCALINGS = ("linear", "dynamic", "llama3", "yarn")
GENERATING = "ForCausalLM"


class Draw:
    """A random configuration that grows key by key."""

    def __init__(self, random: Random, **config):
        self.random = random
        self.config = config

    def pick(self, *values):
        return self.random.choice(values)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def maybe(self, share: float, **values) -> None:
        """Sets each key to one of its values, or leaves it out."""
        for key, choices in values.items():
            if self.chance(share):
                self.config[key] = self.pick(*choices)

    def set(self, **values) -> None:
        for key, choices in values.items():
            self.config[key] = self.pick(*choices)

    def heads(self, width: str = "hidden_size", heads: str = "num_attention_heads", head: bool = False,
              even: bool = True) -> None:  # fmt: skip
        """Heads that divide the width; with `head`, sometimes a head width that is not width / heads."""
        count = self.pick(1, 2, 3, 4, 6)
        each = self.pick(4, 6, 8, 10, 12, 16) if even else self.pick(3, 4, 5, 7, 8, 12)
        self.config[heads] = count
        self.config[width] = count * each
        if head and self.chance(0.4):
            self.config["head_dim"] = self.pick(4, 6, 8, 10, 14, 18)
            if self.chance(0.5):
                self.config[width] = self.pick(18, 20, 24, 27, 35)
            elif self.config[width] % count:
                self.config[width] = count * each

    def grouped(self, null: bool = True) -> None:
        count = self.config["num_attention_heads"]
        divisors = [n for n in range(1, count + 1) if count % n == 0]
        self.config["num_key_value_heads"] = self.random.choice(divisors)
        if null and self.chance(0.2):
            del self.config["num_key_value_heads"]

    def rotary(self, kinds=SCALINGS, base: str = "rope_theta") -> None:
        self.maybe(0.6, **{base: (100.0, 10000, 5e5)})
        if not self.chance(0.4):
            self.maybe(0.3, rope_scaling=(None,))
            return
        kind = self.random.choice(kinds)
        scaling = {self.pick("rope_type", "rope_type", "type"): kind, "factor": self.pick(1.5, 2.0, 8.0)}
        if kind in ("llama3", "yarn"):
            scaling["original_max_position_embeddings"] = self.pick(8, 16)
        if kind == "llama3":
            scaling |= {"low_freq_factor": 1.0, "high_freq_factor": self.pick(2.0, 4.0), "rope_type": kind}
            scaling.pop("type", None)
        if kind == "yarn" and self.chance(0.3):
            scaling |= {"beta_fast": 16.0, "beta_slow": 2.0}
        self.config["rope_scaling"] = scaling

    def labels(self) -> None:
        names = [f"L{i}" for i in range(self.pick(1, 2, 3, 5))]
        self.config["id2label"] = {str(i): name for i, name in enumerate(names)}
        self.config["label2id"] = {name: i for i, name in enumerate(names)}


def decoder_head(draw: Draw, family: str, kinds=("SequenceClassification", "TokenClassification")) -> str:
    """Mostly a language model, sometimes another head."""
    if not draw.chance(0.25):
        return family + GENERATING
    kind = draw.random.choice(kinds)
    if kind != "QuestionAnswering":
        draw.labels()
    draw.config["pad_token_id"] = 0
    return f"{family}For{kind}"


def common(random: Random, model_type: str, **config) -> Draw:
    draw = Draw(random, model_type=model_type, vocab_size=random.choice((37, 50, 64)), bos_token_id=1,
                eos_token_id=None, **config)  # fmt: skip
    draw.maybe(0.3, torch_dtype=("float32", "bfloat16"), use_cache=(True, False), transformers_version=("4.31.0",))
    return draw


def llama_like(random: Random) -> Draw:
    model_type, family = random.choice(
        (("llama", "Llama"), ("mistral", "Mistral"), ("qwen2", "Qwen2"), ("qwen3", "Qwen3")))  # fmt: skip
    draw = common(random, model_type)
    draw.set(num_hidden_layers=(1, 2, 3), intermediate_size=(17, 24, 32), max_position_embeddings=(64,))
    draw.heads(head=model_type != "qwen2")
    if model_type == "qwen3":
        draw.config.setdefault("head_dim", 8)
    draw.grouped(null=model_type == "llama")
    draw.rotary()
    draw.maybe(0.5, tie_word_embeddings=(True, False), rms_norm_eps=(1e-5, 1e-6, 0.01),
               hidden_act=("silu", "gelu", "gelu_pytorch_tanh", "relu"))  # fmt: skip
    if model_type in ("llama", "qwen3"):
        draw.maybe(0.4, attention_bias=(True, False))
    if model_type == "llama":
        draw.maybe(0.4, mlp_bias=(True, False), pretraining_tp=(1,))
    if model_type == "mistral":
        draw.maybe(0.8, sliding_window=(4, 7, None))
    if model_type.startswith("qwen"):
        draw.maybe(0.7, sliding_window=(4, 6, None), use_sliding_window=(True, False), max_window_layers=(0, 1, 2))
        if draw.config.get("max_window_layers") == 0:
            draw.config["max_window_layers"] = 1
    kinds = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, family, kinds)]
    return draw


def experts(random: Random) -> Draw:
    model_type, family = random.choice((("mixtral", "Mixtral"), ("qwen2_moe", "Qwen2Moe"), ("qwen3_moe", "Qwen3Moe")))
    draw = common(random, model_type)
    draw.set(num_hidden_layers=(1, 2), intermediate_size=(12, 18), max_position_embeddings=(64,))
    draw.heads(head=model_type != "qwen2_moe")
    draw.grouped(null=False)
    draw.rotary(("linear", "yarn"))
    count = draw.pick(3, 4, 8)
    draw.config["num_experts_per_tok"] = draw.pick(1, 2, 3)
    draw.config["num_local_experts" if model_type == "mixtral" else "num_experts"] = count
    draw.maybe(0.5, tie_word_embeddings=(True, False), rms_norm_eps=(1e-5, 1e-6))
    if model_type == "mixtral":
        draw.maybe(0.4, sliding_window=(5, None))
    else:
        draw.set(moe_intermediate_size=(9, 16))
        draw.maybe(0.6, norm_topk_prob=(True, False), decoder_sparse_step=(1, 2), mlp_only_layers=([], [0]))
        if model_type == "qwen2_moe":
            draw.set(shared_expert_intermediate_size=(11, 20))
    draw.config["architectures"] = [decoder_head(draw, family)]
    return draw


def gemma(random: Random) -> Draw:
    model_type, family = random.choice((("gemma", "Gemma"), ("gemma2", "Gemma2"), ("gemma3_text", "Gemma3")))
    draw = common(random, model_type)
    draw.set(num_hidden_layers=(1, 2, 3, 7), intermediate_size=(17, 24), max_position_embeddings=(64,))
    draw.heads(head=False)
    draw.set(head_dim=(4, 6, 8, 10))
    draw.grouped(null=False)
    draw.maybe(0.5, rms_norm_eps=(1e-5, 1e-6), attention_bias=(True, False), rope_theta=(100.0, 1e4),
               tie_word_embeddings=(True,))  # fmt: skip
    if model_type == "gemma":
        draw.maybe(0.5, hidden_act=("gelu", "gelu_pytorch_tanh"), hidden_activation=(None, "gelu_pytorch_tanh"))
    else:
        draw.maybe(0.8, sliding_window=(3, 5), query_pre_attn_scalar=(5, 12), final_logit_softcapping=(4.0, None),
                   attn_logit_softcapping=(3.0, None), hidden_activation=("gelu_pytorch_tanh",))  # fmt: skip
    if model_type == "gemma3_text":
        draw.maybe(0.5, rope_local_base_freq=(20.0, 1e4))
        draw.maybe(0.3, rope_scaling=({"rope_type": "linear", "factor": 4.0},))
        draw.maybe(0.5, sliding_window_pattern=(1, 2, 3))
    head = decoder_head(draw, family, ("SequenceClassification",))
    if model_type == "gemma3_text":
        head = head.replace("Gemma3ForSequence", "Gemma3TextForSequence")
    draw.config["architectures"] = [head]
    return draw


def phi(random: Random) -> Draw:
    model_type, family = random.choice((("phi", "Phi"), ("phi3", "Phi3")))
    draw = common(random, model_type, pad_token_id=0)
    draw.set(num_hidden_layers=(1, 2), intermediate_size=(17, 24), max_position_embeddings=(64,))
    draw.heads()
    draw.grouped(null=True)
    draw.maybe(0.5, rope_theta=(100.0, 1e4), tie_word_embeddings=(True, False))
    if model_type == "phi":
        draw.maybe(0.5, qk_layernorm=(True, False), partial_rotary_factor=(0.5, 1.0), layer_norm_eps=(1e-5, 1e-3),
                   hidden_act=("gelu_new", "gelu", "relu"))  # fmt: skip
    else:
        draw.maybe(0.5, sliding_window=(4, None), rms_norm_eps=(1e-5, 1e-6), hidden_act=("silu",))
        if draw.chance(0.4):
            pairs = draw.config["hidden_size"] // draw.config["num_attention_heads"] // 2
            factors = {key: [round(draw.random.uniform(1, 4), 2) for _ in range(pairs)]
                       for key in ("short_factor", "long_factor")}  # fmt: skip
            draw.config |= {"rope_scaling": {"type": draw.pick("longrope", "su"), **factors},
                            "original_max_position_embeddings": draw.pick(12, 32)}  # fmt: skip
    draw.config["architectures"] = [decoder_head(draw, family)]
    return draw


def gpt(random: Random) -> Draw:
    model_type = random.choice(("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon"))
    draw = common(random, model_type)
    globals()[model_type](draw)
    return draw


def gpt2(draw: Draw) -> None:
    draw.heads("n_embd", "n_head", even=False)
    draw.set(n_layer=(1, 2, 3), n_positions=(48, 64))
    draw.maybe(0.5, n_inner=(None, 17, 40), activation_function=("gelu_new", "gelu", "relu", "silu", "tanh"),
               layer_norm_epsilon=(1e-5, 1e-3), scale_attn_weights=(True, False),
               scale_attn_by_inverse_layer_idx=(True, False), tie_word_embeddings=(True, False))  # fmt: skip
    head = decoder_head(draw, "GPT2")
    draw.config["architectures"] = ["GPT2LMHeadModel" if head.endswith(GENERATING) else head]


def gpt_neo(draw: Draw) -> None:
    draw.heads("hidden_size", "num_heads", even=False)
    layers = draw.pick(1, 2, 4)
    kinds = ["global", "local"] if layers % 2 == 0 else [draw.pick("global", "local")]
    draw.config |= {"num_layers": layers, "attention_types": [[kinds, layers // len(kinds)]],
                    "max_position_embeddings": 64}  # fmt: skip
    draw.maybe(0.6, window_size=(4, 7), intermediate_size=(None, 19), activation_function=("gelu_new", "relu"),
               layer_norm_epsilon=(1e-5,))  # fmt: skip
    kinds = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, "GPTNeo", kinds)]


def gpt_neox(draw: Draw) -> None:
    draw.heads()
    draw.set(num_hidden_layers=(1, 2), intermediate_size=(17, 32), max_position_embeddings=(64,))
    draw.maybe(0.5, rotary_pct=(0.25, 0.5, 1.0), rotary_emb_base=(100, 10000), use_parallel_residual=(True, False),
               attention_bias=(True, False), hidden_act=("gelu", "gelu_fast", "relu"), layer_norm_eps=(1e-5, 1e-3),
               tie_word_embeddings=(True, False))  # fmt: skip
    width = draw.config["hidden_size"] // draw.config["num_attention_heads"]
    if width * draw.config.get("rotary_pct", 0.25) < 2:
        draw.config["rotary_pct"] = 1.0
    kinds = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, "GPTNeoX", kinds)]


def gptj(draw: Draw) -> None:
    draw.heads("n_embd", "n_head")
    width = draw.config["n_embd"] // draw.config["n_head"]
    draw.set(n_layer=(1, 2), n_positions=(64,), rotary_dim=tuple(range(2, width + 1, 2)))
    draw.maybe(0.5, n_inner=(None, 21), activation_function=("gelu_new", "relu"), tie_word_embeddings=(False,))
    draw.config["architectures"] = [decoder_head(draw, "GPTJ", ("SequenceClassification", "QuestionAnswering"))]


def opt(draw: Draw) -> None:
    draw.heads(even=False)
    draw.config["pad_token_id"] = 1
    draw.set(num_hidden_layers=(1, 2), ffn_dim=(17, 32), max_position_embeddings=(64,))
    draw.maybe(0.5, word_embed_proj_dim=(10, 24), do_layer_norm_before=(True, False), enable_bias=(True, False),
               activation_function=("relu", "gelu"), layer_norm_elementwise_affine=(True, False),
               _remove_final_layer_norm=(True, False), tie_word_embeddings=(True,))  # fmt: skip
    kinds = ("SequenceClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, "OPT", kinds)]
    draw.config["pad_token_id"] = 1


def bloom(draw: Draw) -> None:
    width, heads = draw.pick(("hidden_size", "n_head"), ("n_embed", "num_attention_heads"))
    draw.heads(width, heads, even=False)
    draw.set(n_layer=(1, 2))
    draw.maybe(0.5, apply_residual_connection_post_layernorm=(True, False), layer_norm_epsilon=(1e-5, 1e-3),
               offset_alibi=(100,), seq_length=(2048,))  # fmt: skip
    kinds = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, "Bloom", kinds)]


def falcon(draw: Draw) -> None:
    draw.heads()
    draw.set(num_hidden_layers=(1, 2))
    draw.maybe(0.5, bias=(True, False), parallel_attn=(True, False), layer_norm_epsilon=(1e-5,),
               ffn_hidden_size=(17, 40), rope_theta=(100.0, 1e4))  # fmt: skip
    if draw.chance(0.5):
        draw.config |= {"new_decoder_architecture": True}
        draw.grouped(null=False)
        draw.config["num_kv_heads"] = draw.config.pop("num_key_value_heads")
        draw.maybe(0.4, num_ln_in_parallel_attn=(1, 2))
    else:
        draw.maybe(0.6, multi_query=(True, False))
    kinds = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
    draw.config["architectures"] = [decoder_head(draw, "Falcon", kinds)]


ENCODERS = {
    "bert": ("Bert", "MaskedLM PreTraining NextSentencePrediction SequenceClassification TokenClassification "
                     "QuestionAnswering Model"),
    "roberta": ("Roberta", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
    "xlm-roberta": ("XLMRoberta", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
    "camembert": ("Camembert", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
    "distilbert": ("DistilBert", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
    "albert": ("Albert", "MaskedLM PreTraining SequenceClassification TokenClassification QuestionAnswering Model"),
    "electra": ("Electra", "MaskedLM PreTraining SequenceClassification TokenClassification QuestionAnswering Model"),
    "deberta-v2": ("DebertaV2", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
    "longformer": ("Longformer", "MaskedLM SequenceClassification TokenClassification QuestionAnswering Model"),
}  # fmt: skip


def encoder(random: Random) -> Draw:
    model_type = random.choice(list(ENCODERS))
    family, heads = ENCODERS[model_type]
    head = random.choice(heads.split())
    draw = common(random, model_type, pad_token_id=0 if "bert" in model_type and "ro" not in model_type else 1)
    draw.config["architectures"] = [family + ("Model" if head == "Model" else "For" + head)]
    if head in ("SequenceClassification", "TokenClassification"):
        draw.labels()
        if head == "TokenClassification" and len(draw.config["id2label"]) == 1:
            draw.config |= {"id2label": {"0": "A", "1": "B"}, "label2id": {"A": 0, "B": 1}}
    if model_type == "distilbert":
        draw.heads("dim", "n_heads", even=False)
        draw.set(n_layers=(1, 2), hidden_dim=(17, 30), max_position_embeddings=(40,))
        draw.maybe(0.5, activation=("gelu", "relu"), sinusoidal_pos_embds=(True, False))
        return draw
    draw.heads(even=False)
    draw.set(num_hidden_layers=(1, 2, 3), intermediate_size=(17, 30), max_position_embeddings=(44,))
    draw.maybe(0.6, hidden_act=("gelu", "relu", "gelu_new", "silu"), layer_norm_eps=(1e-12, 1e-5, 1e-3),
               type_vocab_size=(1, 2, 3), hidden_dropout_prob=(0.1,))  # fmt: skip
    if model_type in ("bert", "roberta"):
        draw.maybe(0.3, position_embedding_type=("absolute",))
    if model_type in ("albert", "electra"):
        draw.set(embedding_size=(10, 16, draw.config["hidden_size"]))
    if model_type == "albert":
        draw.maybe(0.5, num_hidden_groups=(1, 2), inner_group_num=(1, 2))
        if draw.config.get("num_hidden_groups", 1) == 2:
            draw.config["num_hidden_layers"] = draw.pick(2, 4)
    if model_type == "deberta-v2":
        draw.set(relative_attention=(True,), max_relative_positions=(-1, 9), position_buckets=(-1, 4, 6),
                 type_vocab_size=(0, 2))  # fmt: skip
        draw.maybe(0.6, pos_att_type=("p2c|c2p", ["c2p"], ["p2c"], ["c2p", "p2c"]), share_att_key=(True, False),
                   norm_rel_ebd=("layer_norm", "none"), position_biased_input=(True, False), legacy=(True, False))
        draw.config.setdefault("pos_att_type", ["c2p", "p2c"])
        if draw.chance(0.3):
            draw.config |= {"conv_kernel_size": 3, "conv_act": draw.pick("gelu", "tanh")}
    if model_type == "longformer":
        layers = draw.config["num_hidden_layers"]
        draw.config["attention_window"] = draw.pick(4, 6, [draw.pick(2, 4, 8) for _ in range(layers)])
    return draw


def t5(random: Random) -> Draw:
    model_type, family = random.choice((("t5", "T5"), ("mt5", "MT5")))
    draw = Draw(random, model_type=model_type, vocab_size=random.choice((37, 64)), pad_token_id=0, eos_token_id=None,
                decoder_start_token_id=0, is_encoder_decoder=True)  # fmt: skip
    draw.set(d_model=(15, 16, 24), d_kv=(5, 6, 8), num_heads=(1, 2, 3), d_ff=(17, 28), num_layers=(1, 2, 3),
             relative_attention_num_buckets=(6, 8, 32))  # fmt: skip
    draw.maybe(0.6, num_decoder_layers=(1, 2), relative_attention_max_distance=(17, 64),
               layer_norm_epsilon=(1e-6, 1e-3), tie_word_embeddings=(True, False),
               feed_forward_proj=("relu", "gated-gelu", "gated-silu", "gelu"))  # fmt: skip
    both_head(draw, family, ("SequenceClassification", "TokenClassification", "QuestionAnswering"))
    return draw


def both_head(draw: Draw, family: str, kinds: tuple, language: str = "ForConditionalGeneration") -> None:
    if draw.chance(0.7):
        draw.config["architectures"] = [family + language]
        return
    kind = draw.random.choice(kinds)
    if kind != "QuestionAnswering":
        draw.labels()
    draw.config |= {"architectures": [f"{family}For{kind}"], "eos_token_id": 2}


def bart(random: Random) -> Draw:
    model_type, family = random.choice(
        (("bart", "Bart"), ("mbart", "MBart"), ("marian", "Marian"), ("pegasus", "Pegasus")))  # fmt: skip
    draw = Draw(random, model_type=model_type, vocab_size=random.choice((37, 64)), pad_token_id=1, bos_token_id=0,
                eos_token_id=None, decoder_start_token_id=2, forced_eos_token_id=None, is_encoder_decoder=True,
                max_position_embeddings=48)  # fmt: skip
    heads = draw.pick(1, 2, 3)
    draw.set(d_model=(6 * heads, 8 * heads, 12 * heads), encoder_attention_heads=(heads,),
             decoder_attention_heads=(heads, 1), encoder_ffn_dim=(17, 28), decoder_ffn_dim=(17, 20),
             encoder_layers=(1, 2), decoder_layers=(1, 2))  # fmt: skip
    draw.maybe(0.6, activation_function=("gelu", "relu", "swish", "gelu_new"), scale_embedding=(True, False))
    if model_type == "marian":
        draw.config["decoder_start_token_id"] = draw.config["pad_token_id"] = draw.config["vocab_size"] - 1
        draw.maybe(0.3, share_encoder_decoder_embeddings=(False,))
        if not draw.config.get("share_encoder_decoder_embeddings", True):
            draw.config["decoder_vocab_size"] = draw.config["vocab_size"]
    if model_type in ("bart", "mbart"):
        both_head(draw, family, ("SequenceClassification", "QuestionAnswering"))
    else:
        name = {"marian": "MarianMTModel", "pegasus": "PegasusForConditionalGeneration"}[model_type]
        draw.config["architectures"] = [name]
    return draw


FAMILIES = {"llama_like": llama_like, "experts": experts, "gemma": gemma, "phi": phi, "gpt": gpt, "encoder": encoder,
            "t5": t5, "bart": bart}  # fmt: skip
SHARES = {"gpt": 2, "encoder": 3, "llama_like": 2}


def draw(seed: int) -> tuple[str, dict]:
    """The configuration of this number, and where it comes from."""
    random = Random(seed)
    names = [name for name in FAMILIES for _ in range(SHARES.get(name, 1))]
    name = random.choice(names)
    return name, FAMILIES[name](random).config
