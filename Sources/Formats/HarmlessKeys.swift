internal import MartletJSON

/// Keys that transformers and its relatives write into `config.json` and that change nothing in what a model computes.
///
/// Source: what `PreTrainedConfig` of transformers 4 and 5 serializes, with the generation settings that version 4 left
/// in it. A family that does use one of them reads it, and then it is not unknown in the first place.
package enum HarmlessKeys {
    /// Returns whether `key` can be passed over, whatever it says.
    package static func includes(_ key: String) -> Bool { all.contains(ExactKey(key)) }

    private static let all = Set((origin + outputs + training + labels + tokens + generation).map(ExactKey.init))

    /// Keys for the origin of a model, and what it was made with.
    private static let origin = [
        "architectures", "model_type", "auto_map", "transformers_version", "torch_dtype", "dtype", "_name_or_path",
        "name_or_path",
        "_commit_hash", "_from_model_config", "tokenizer_class", "processor_class", "transformers.js_config",
        "unsloth_fixed",
        "unsloth_version",
    ]

    /// Keys for what the Python classes return, and how they run.
    private static let outputs = [
        "use_cache", "return_dict", "return_dict_in_generate", "output_hidden_states", "output_attentions",
        "output_scores",
        "output_logits", "output_past", "output_router_logits", "torchscript", "use_bfloat16", "tf_legacy_loss",
        "pretraining_tp",
        "attn_implementation", "_attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled",
        "gradient_checkpointing", "chunk_size_feed_forward", "is_encoder_decoder",
    ]

    /// Keys that matter while training only.
    private static let training = [
        "initializer_range", "initializer_factor", "init_std", "attention_dropout", "attention_probs_dropout_prob",
        "activation_dropout",
        "hidden_dropout", "hidden_dropout_prob", "dropout", "dropout_rate", "attn_pdrop", "embd_pdrop", "resid_pdrop",
        "resid_dropout",
        "embedding_dropout", "classifier_dropout", "classifier_dropout_prob", "encoder_layerdrop", "decoder_layerdrop",
        "layerdrop",
        "router_aux_loss_coef", "router_jitter_noise", "router_z_loss_coef",
    ]

    private static let labels = [
        "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params", "prefix",
    ]

    private static let tokens = [
        "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "mask_token_id",
        "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "force_bos_token_to_be_generated",
    ]

    /// Leftovers of `generate`; what counts today stands in `generation_config.json`.
    private static let generation = [
        "assistant_confidence_threshold", "assistant_early_exit", "assistant_ensemble_weight", "assistant_lookbehind",
        "bad_words_ids", "begin_suppress_tokens", "cache_config", "cache_implementation", "compile_config",
        "constraints",
        "disable_compile", "diversity_penalty", "do_sample", "dola_layers", "early_stopping",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty",
        "force_words_ids",
        "guidance_scale", "is_assistant", "length_penalty", "low_memory", "max_cache_len", "max_length",
        "max_matching_ngram_size",
        "max_new_tokens", "max_time", "min_length", "min_new_tokens", "min_p", "no_repeat_ngram_size",
        "num_assistant_tokens",
        "num_assistant_tokens_schedule", "num_beam_groups", "num_beams", "num_return_sequences", "penalty_alpha",
        "prefill_chunk_size", "prompt_lookup_num_tokens", "remove_invalid_values", "renormalize_logits",
        "repetition_penalty",
        "sequence_bias", "speculation_type", "stop_strings", "suppress_tokens", "target_lookbehind", "temperature",
        "token_healing", "top_h", "top_k", "top_p", "typical_p", "use_mtp", "watermarking_config",
    ]
}
