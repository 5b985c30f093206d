import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Experts divided among ranks: the bytes of one rank, and those on the way that follow from where routers send rows.
@Suite struct RankExpertTests {
    private let runs = RankRuns()

    /// Mixtures of several kinds, with four experts in each of two layers: scores as they are, or renormalised and
    /// corrected, chosen within groups; a shared expert; biases; inputs that are scaled; a number for each expert; an
    /// encoder-decoder whose experts take so many rows.
    static let mixtures: [String: [String]] = [
        "mixtral": RankRuns.families[4].overrides,
        "qwen2_moe": [
            "model.config={model_type: qwen2_moe, hidden_size: 32, intermediate_size: 64, moe_intermediate_size: 16, shared_expert_intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, num_experts: 4, num_experts_per_tok: 2, norm_topk_prob: false, decoder_sparse_step: 1, rms_norm_eps: 1e-6, hidden_act: silu}"
        ],
        "deepseek_v3": [
            "model.config={model_type: deepseek_v3, hidden_size: 32, intermediate_size: 64, moe_intermediate_size: 16, num_hidden_layers: 2, first_k_dense_replace: 0, num_attention_heads: 4, num_key_value_heads: 4, q_lora_rank: 16, kv_lora_rank: 16, qk_nope_head_dim: 8, qk_rope_head_dim: 4, v_head_dim: 8, max_position_embeddings: 32, n_routed_experts: 4, n_shared_experts: 1, num_experts_per_tok: 2, n_group: 2, topk_group: 1, norm_topk_prob: true, routed_scaling_factor: 2.5, scoring_func: sigmoid, topk_method: noaux_tc, rms_norm_eps: 1e-6, hidden_act: silu, rope_theta: 10000}"
        ],
        "gpt_oss": [
            "model.config={model_type: gpt_oss, hidden_size: 32, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, max_position_embeddings: 32, num_local_experts: 4, num_experts_per_tok: 2, sliding_window: 8, rms_norm_eps: 1e-5, rope_theta: 10000, layer_types: [sliding_attention, full_attention]}"
        ],
        "llama4": [
            "model.config={model_type: llama4_text, hidden_size: 32, intermediate_size: 32, intermediate_size_mlp: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, max_position_embeddings: 32, num_local_experts: 4, num_experts_per_tok: 1, interleave_moe_layer_step: 1, rms_norm_eps: 1e-5, hidden_act: silu, rope_theta: 10000}"
        ],
        "switch": [
            "model.config={model_type: switch_transformers, d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_decoder_layers: 2, num_sparse_encoder_layers: 2, num_sparse_decoder_layers: 2, num_heads: 4, num_experts: 4, expert_capacity: 6, decoder_start_token_id: 0, eos_token_id: 1}",
            "tokenizer.special_tokens=[<pad>, </s>, <extra_id_0>, <extra_id_1>, <extra_id_2>, <extra_id_3>]",
            "objective={name: span-corruption}",
        ],
    ]

    /// Experts divided among ranks: the bytes of one rank in every checkpoint, and the bytes on the way that follow
    /// from where routers send rows.
    @Test(arguments: mixtures.keys.sorted()) func dividedExpertsGiveTheBytesOfOneRank(_ name: String) throws {
        let overrides = Self.mixtures[name] ?? []
        let alone = try runs.train("one", overrides, ranks: 1)
        let whole = try runs.checkpoint("one")
        for (ranks, text) in [
            (2, "expert=2"), (4, "expert=4"), (4, "expert=2,zero=3"), (4, "expert=4,zero=3"), (4, "expert=2,tensor=2"),
            (4, "expert=2,tensor=2,zero=3"),
        ] {
            let outcomes = try runs.train("\(ranks), \(text)", overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint("\(ranks), \(text)") == whole, "\(name), \(ranks), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(ranks), \(text)")
            for outcome in outcomes {
                // Experts that take so many rows are not counted beforehand.
                if name != "switch" || !text.contains("tensor") {
                    #expect(outcome.sent == outcome.planned, "\(name), \(text)")
                }
                #expect(outcome.experts.sent == outcome.experts.planned, "\(name), \(text)")
            }
            let (away, here) = outcomes.reduce((0, 0)) { ($0.0 + $1.routed.away, $0.1 + $1.routed.here) }
            #expect(away == here && away > 0, "\(name), \(text)")
            // Each row meets two experts in each of two layers, here or elsewhere.
            guard name == "mixtral" else { continue }
            #expect(away <= 4 * outcomes.reduce(0) { $0 + $1.rows })
        }
    }

    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"], ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"],
        ["train={freeze: [decoder.0, decoder.1.feedForward.experts.1]}"],
        ["precision=bf16"], ["expert_balance=0.01", "batch.accumulation=8", "batch.shards=8"],
        ["epochs=1", "steps=null", "data.holdout=null"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankWithDividedExperts(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides =
            RankRuns.families[4].overrides + overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try runs.train("one", overrides, ranks: 1)[0].end
        let whole = try runs.checkpoint("one", step: steps)
        for (ranks, text) in [(2, "expert=2"), (4, "expert=2,zero=3"), (4, "expert=2,tensor=2")]
        where !text.contains("tensor") || !["muon", "adafactor"].contains(where: overrides.joined().contains) {
            try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    @Test func dividedExpertsResumeAtAnyLayout() throws {
        let overrides = RankRuns.families[4].overrides
        try runs.train("whole", overrides, ranks: 1)
        try runs.train("moved", overrides, ranks: 4, RankLayout("expert=4"), until: 2)
        try runs.train("moved", overrides, ranks: 1, until: 5)
        try runs.train("moved", overrides, ranks: 4, RankLayout("expert=2,zero=3"), until: 8)
        try runs.train("moved", overrides, ranks: 2, RankLayout("tensor=2"), until: 10)
        try runs.train("moved", overrides, ranks: 2, RankLayout("expert=2"))
        #expect(try runs.checkpoint("moved") == runs.checkpoint("whole"))
    }

    @Test func expertsThatCannotBeDividedAreRefusedInWords() throws {
        for (overrides, ranks, text, word) in [
            ([], 2, "expert=2", "this model has none"),
            (RankRuns.families[4].overrides + ["model.config.num_local_experts=2"], 4, "expert=4", "at most expert=2"),
            (
                RankRuns.families[4].overrides + ["batch.shards=2"], 2, "expert=2",
                "set batch.shards to batch.accumulation, 4"
            ),
        ] {
            let error = #expect(throws: RunError.self) {
                try runs.train("no", overrides, ranks: ranks, RankLayout(text))
            }
            #expect(error.map { "\($0)".contains(word) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    /// Memory of a rank: its experts, with their gradients and optimizer's states.
    @Test func expertsTakeTheirShareOfMemory() throws {
        let recipe = try runs.recipe(
            RankRuns.families[4].overrides + [
                "model.config.hidden_size=128", "model.config.intermediate_size=512",
                "model.config.num_hidden_layers=4", "evaluation=null",
            ])
        let path = runs.folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, RankLayout("expert=4"), on: device)
            var stream = try preparation.stream(from: nil)
            for pass in 0..<4 {
                let batch = try stream.next()
                if pass == communicator.rank { _ = try learner.accumulate(batch, seed: 1) }
            }
            return RankRuns.heldShares(of: learner)
        }
        // Nine tenths of the parameters are experts'.
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.36 && share[2] < 0.52, "\(share)") }
    }
}
