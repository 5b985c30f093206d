import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// The same recipe on one, two and four ranks, as threads, with everything whole on each or divided among them: the
/// same bytes in every checkpoint, and the bytes on the way that were counted before.
@Suite struct RankTests {
    private let folder = FolderForTests()
    private static let steps = 12

    /// A tiny model of each of five families, with what its objective needs.
    private static let families: [(name: String, overrides: [String])] = [
        ("llama", []),
        (
            "gpt2",
            ["model.config={model_type: gpt2, n_embd: 32, n_head: 4, n_layer: 2, n_positions: 32}"]
        ),
        (
            "bert",
            [
                "model.config={model_type: bert, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64, max_position_embeddings: 32, architectures: [BertForMaskedLM]}",
                "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
            ]
        ),
        (
            "t5",
            [
                "model.config={model_type: t5, d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_heads: 4, feed_forward_proj: gated-gelu, decoder_start_token_id: 0, eos_token_id: 1}",
                "tokenizer.special_tokens=[<pad>, </s>, <extra_id_0>, <extra_id_1>, <extra_id_2>, <extra_id_3>]",
                "objective={name: span-corruption}",
            ]
        ),
        (
            "mixtral",
            [
                "model.config={model_type: mixtral, hidden_size: 32, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, num_local_experts: 4, num_experts_per_tok: 2, rms_norm_eps: 1e-5, hidden_act: silu}"
            ]
        ),
    ]

    private func recipe(_ overrides: [String] = []) throws -> Recipe {
        try Recipe(
            yaml: """
                model: {config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2,
                  num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5,
                  hidden_act: silu, tie_word_embeddings: true}}
                tokenizer: {kind: characters}
                data: {sources: [{paths: \(folder.writeText()), documents: line}], holdout: 0.1}
                objective: {name: causal}
                length: 32
                batch: {sequences: 2, accumulation: 4, shards: 4}
                optimizer: {learning_rate: 1e-2, weight_decay: 0.1, clip: 1}
                dropout: 0.1
                steps: \(Self.steps)
                evaluation: {every: 6, batches: 3}
                checkpoints: {every: 6, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private struct Outcome: Sendable {
        let losses: [Double]
        let sent, planned: [Int]
        /// Of all passes of the rank's lane.
        let rows: Int
        let end: Int
        let items: [PipelineOrder.Item]
        /// Rows that met experts of other ranks, and those of others that met experts here; bytes sent for them, and
        /// what they were to be.
        let routed: (away: Int, here: Int)
        let experts: (sent: Int, planned: Int)
    }

    /// Trains in `name` until `last`, the leader first making what the others find.
    @discardableResult
    private func train(
        _ name: String, _ overrides: [String] = [], ranks: Int, zero: Int = 0, until last: Int = steps
    ) throws -> [Outcome] {
        try train(name, overrides, ranks: ranks, RankLayout(zero: zero), until: last)
    }

    @discardableResult
    private func train(
        _ name: String, _ overrides: [String], ranks: Int, _ layout: RankLayout, until last: Int = steps
    ) throws -> [Outcome] {
        let path = folder.path + "/" + name
        let recipe = try recipe(overrides)
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        return try Crew(ranks).run { communicator in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, layout, on: device)
            let store = CheckpointStore(path + "/checkpoints")
            var state: RunState?
            if let step = store.newest().step {
                let found = try store.state(step)
                try learner.restore(
                    weights: store.weights(step), optimizerState: store.optimizerState(step),
                    updates: found.updates)
                state = found
            }
            try communicator.barrier()
            let run = try TrainingRun(
                path, preparation.settings, learner, preparation.stream(from: state?.cursor),
                validation: preparation.validation(), from: state, over: communicator)
            let begun = run.state.step
            _ = try run.run { run.state.step == last }
            let (gradients, weights) = learner.plannedTraffic
            let steps = run.state.step - begun
            let mesh = try layout.mesh(ranks: ranks)
            var stream = try preparation.stream(from: state?.cursor)
            let passes = preparation.settings.accumulation
            let batches = try (0..<steps).map { _ in
                try (0..<passes).map { ($0, try stream.next()) }.filter { pass, _ in
                    let lane = layout.zero >= 2 ? pass % mesh.lanes : pass * mesh.lanes / passes
                    return lane == mesh.lane(of: communicator.rank)
                }.map(\.1)
            }
            return Outcome(
                losses: run.records.map(\.loss),
                sent: [.gradients, .weights, .activations].map { communicator.traffic[$0] },
                planned: [
                    steps * gradients, steps * weights,
                    try batches.reduce(0) { try $0 + learner.plannedActivations($1) },
                ],
                rows: batches.reduce(0) { $0 + $1.reduce(0) { $0 + $1.rows.count } }, end: run.state.step,
                items: learner.pipelineItems, routed: learner.routedRows,
                experts: (communicator.traffic[.experts], learner.plannedExperts(width: 32, experts: 4)))
        }
    }

    private func checkpoint(_ name: String, step: Int = steps) throws -> [[UInt8]] {
        let store = CheckpointStore(folder.path + "/" + name + "/checkpoints")
        return try ["weights", "optimizer"].map {
            try Storage(mapping: store.path(step) + "/\($0).safetensors").contents
        }
    }

    @Test(arguments: families.indices) func everyLayoutGivesTheBytesOfOneRank(_ family: Int) throws {
        let overrides = Self.families[family].overrides
        let alone = try train("one", overrides, ranks: 1)
        let whole = try checkpoint("one")
        for (ranks, zero) in [(2, 0), (2, 1), (2, 2), (2, 3), (4, 0), (4, 1), (4, 2), (4, 3)] {
            let name = "\(ranks)-\(zero)"
            let outcomes = try train(name, overrides, ranks: ranks, zero: zero)
            #expect(try checkpoint(name) == whole, "\(ranks) ranks, zero=\(zero)")
            #expect(outcomes[0].losses == alone[0].losses)
            for outcome in outcomes {
                #expect(outcome.sent == outcome.planned, "\(ranks) ranks, zero=\(zero)")
            }
        }
    }

    /// Optimizers that look at whole matrices, averages of weights, layers computed again, parts that are frozen, and
    /// passes behind the last epoch, of which some ranks have more than others.
    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"],
        ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"],
        ["epochs=1", "steps=null", "data.holdout=null"],
    ]) func everyKindOfRunGivesTheBytesOfOneRank(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try train("one", overrides, ranks: 1)[0].end
        let whole = try checkpoint("one", step: steps)
        for (ranks, zero) in [(2, 1), (2, 2), (4, 3)] {
            try train("\(ranks)-\(zero)", overrides, ranks: ranks, zero: zero)
            #expect(
                try checkpoint("\(ranks)-\(zero)", step: steps) == whole, "\(ranks) ranks, zero=\(zero)")
        }
    }

    /// A matrix of more elements than a piece of a sum of squares is cut inside.
    @Test func parametersAreCutInside() throws {
        let overrides = [
            "model.config.hidden_size=64", "model.config.intermediate_size=640",
            "model.config.num_hidden_layers=1",
        ]
        try train("one", overrides, ranks: 1)
        for zero in 1...3 {
            try train("\(zero)", overrides, ranks: 4, zero: zero)
            #expect(try checkpoint("\(zero)") == checkpoint("one"), "zero=\(zero)")
        }
    }

    @Test func resumingAtAnotherLayoutGivesTheUninterruptedBytes() throws {
        try train("whole", ranks: 1)
        try train("moved", ranks: 2, zero: 2, until: 2)
        try train("moved", ranks: 1, until: 5)
        try train("moved", ranks: 4, zero: 3, until: 7)
        try train("moved", ranks: 2, zero: 1, until: 10)
        try train("moved", ranks: 4)
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    @Test func ranksThatDoNotDivideTheShardsAreRefused() throws {
        let error = #expect(throws: RunError.self) { try train("three", ranks: 8) }
        #expect(error.map { "\($0)".contains("1, 2, 4") } == true)
    }

    @Test func shardsOfSeveralPassesAreRefusedWhereGradientsAreDivided() throws {
        let error = #expect(throws: RunError.self) {
            try train("two", ["batch.accumulation=8"], ranks: 2, zero: 2)
        }
        #expect(error.map { "\($0)".contains("batch.shards to batch.accumulation, 8") } == true)
    }

    @Test func layoutsAreReadAndRefusedInWords() throws {
        let layout = try RankLayout("data=4,zero=2")
        #expect(layout.zero == 2 && layout.data == 4)
        #expect(throws: RunError.self) { try layout.mesh(ranks: 2) }
        let staged = try RankLayout("pipeline=2,interleave=2,zero=1")
        #expect(try staged.mesh(ranks: 8) == RankMesh(lanes: 4, stages: 2))
        #expect(throws: RunError.self) { try staged.mesh(ranks: 3) }
        let divided = try RankLayout("data=2,tensor=2,pipeline=2")
        #expect(try divided.mesh(ranks: 8) == RankMesh(lanes: 2, stages: 2, parts: 2))
        #expect(throws: RunError.self) { try divided.mesh(ranks: 4) }
        let error = #expect(throws: RunError.self) {
            try RankLayout("zero=4,tensor=0,context=2,x,data=0,expert=0,schedule=2f2b,interleave=2")
        }
        for word in ["zero=4", "tensor=0", "context=2", "\"x\"", "data=0", "expert=0", "2f2b", "name pipeline= too"] {
            #expect(error.map { "\($0)".contains(word) } == true, "\(word)")
        }
        #expect(throws: RunError.self) { try RankLayout("pipeline=2,zero=2") }
        #expect(try RankLayout("expert=2").zero == 2)
        #expect(try RankLayout("expert=2").mesh(ranks: 4) == RankMesh(lanes: 4, experts: 2))
        #expect(throws: RunError.self) { try RankLayout("expert=4").mesh(ranks: 2) }
        for (text, word) in [
            ("expert=2,zero=1", "zero=3 go with it"), ("expert=2,pipeline=2", "with pipeline="),
            ("expert=2,tensor=2", "with tensor="),
        ] {
            let error = #expect(throws: RunError.self) { try RankLayout(text) }
            #expect(error.map { "\($0)".contains(word) } == true, "\(text)")
        }
    }

    /// The shares of all parameters' size that a rank holds: pages of gradients and of weights, and optimizer's states.
    private static func heldShares(of learner: ModelLearner) -> [Double] {
        let states = learner.optimizerState.flatMap(\.pieces).reduce(0) { $0 + $1.tensor.bytes }
        let bytes = [learner.gradients.storage, learner.parameters.all.storage].map(\.residentBytes) + [states]
        return bytes.map { Double($0) / Double(learner.gradients.count * 4) }
    }

    // MARK: - Divided experts

    /// Mixtures of several kinds, with four experts in each of two layers: scores as they are, or renormalised and
    /// corrected, chosen within groups; a shared expert; biases; inputs that are scaled; a number for each expert; an
    /// encoder-decoder whose experts take so many rows.
    private static let mixtures: [String: [String]] = [
        "mixtral": families[4].overrides,
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
        let alone = try train("one", overrides, ranks: 1)
        let whole = try checkpoint("one")
        for (ranks, text) in [(2, "expert=2"), (4, "expert=4"), (4, "expert=2,zero=3"), (4, "expert=4,zero=3")] {
            let outcomes = try train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            for outcome in outcomes {
                #expect(outcome.sent == outcome.planned, "\(name), \(text)")
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
            Self.families[4].overrides + overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try train("one", overrides, ranks: 1)[0].end
        let whole = try checkpoint("one", step: steps)
        for (ranks, text) in [(2, "expert=2"), (4, "expert=2,zero=3")] {
            try train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    @Test func dividedExpertsResumeAtAnyLayout() throws {
        let overrides = Self.families[4].overrides
        try train("whole", overrides, ranks: 1)
        try train("moved", overrides, ranks: 4, RankLayout("expert=4"), until: 2)
        try train("moved", overrides, ranks: 1, until: 5)
        try train("moved", overrides, ranks: 4, RankLayout("expert=2,zero=3"), until: 8)
        try train("moved", overrides, ranks: 2, RankLayout("tensor=2"), until: 10)
        try train("moved", overrides, ranks: 2, RankLayout("expert=2"))
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    @Test func expertsThatCannotBeDividedAreRefusedInWords() throws {
        for (overrides, ranks, text, word) in [
            ([], 2, "expert=2", "this model has none"),
            (Self.families[4].overrides + ["model.config.num_local_experts=2"], 4, "expert=4", "at most expert=2"),
            (
                Self.families[4].overrides + ["batch.shards=2"], 2, "expert=2",
                "set batch.shards to batch.accumulation, 4"
            ),
        ] {
            let error = #expect(throws: RunError.self) { try train("no", overrides, ranks: ranks, RankLayout(text)) }
            #expect(error.map { "\($0)".contains(word) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    /// What a rank holds: its experts, with their gradients and optimizer's states.
    @Test func expertsTakeTheirShareOfMemory() throws {
        let recipe = try recipe(
            Self.families[4].overrides + [
                "model.config.hidden_size=128", "model.config.intermediate_size=512",
                "model.config.num_hidden_layers=4", "evaluation=null",
            ])
        let path = folder.path + "/memory"
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
            return Self.heldShares(of: learner)
        }
        // Nine tenths of the parameters are experts'.
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.36 && share[2] < 0.52, "\(share)") }
    }

    // MARK: - Divided matrices

    /// Matrices divided among ranks, heads and hidden elements with them, vocabulary and tied tables too: the bytes of
    /// one rank in every checkpoint, and the bytes on the way that were counted before.
    @Test(arguments: families.indices) func everyDivisionGivesTheBytesOfOneRank(_ family: Int) throws {
        let (name, overrides) = Self.families[family]
        let alone = try train("one", overrides, ranks: 1)
        let whole = try checkpoint("one")
        for (ranks, text) in [
            (2, "tensor=2"), (4, "tensor=4"), (4, "data=2,tensor=2"), (4, "tensor=2,zero=1"),
            (4, "tensor=2,zero=2"), (4, "tensor=2,zero=3"), (4, "pipeline=2,tensor=2"),
        ] {
            let outcomes = try train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            for outcome in outcomes { #expect(outcome.sent == outcome.planned, "\(name), \(text)") }
        }
    }

    /// Averages of weights, layers computed again, parts that are frozen, 16-bit factors, every kind of dropout, tables
    /// that are not tied, passes behind the last epoch; attentions whose heads are not divided, for their norms, their
    /// positions or their number.
    @Test(arguments: [
        ["optimizer.name=sgd", "train={average: 0.9}"], ["optimizer.name=lion"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"], ["precision=bf16"],
        ["attention_dropout=0.2", "activation_dropout=0.2"], ["attention_dropout=0.2", "recomputation=true"],
        ["model.config.tie_word_embeddings=false", "batch.accumulation=8", "batch.shards=2"],
        ["model.config.hidden_size=64", "model.config.intermediate_size=650", "model.config.num_hidden_layers=1"],
        ["epochs=1", "steps=null", "data.holdout=null"],
        ["albert"], ["deberta"], ["bloom"], ["qwen3"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankInParts(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = Self.others[overrides[0]] ?? overrides + (isCounted ? ["evaluation=null"] : [])
        let steps = try train("one", overrides, ranks: 1)[0].end
        let whole = try checkpoint("one", step: steps)
        // Where gradients are divided, each pass is a shard.
        let isInRounds = !overrides.contains("batch.shards=2")
        for (ranks, text) in [
            (2, "tensor=2"), (4, "tensor=2,zero=1"), (4, "tensor=4"), (4, "tensor=2,zero=2"), (4, "tensor=2,zero=3"),
        ] where isInRounds || !text.hasSuffix("2,zero=2") && !text.hasSuffix("zero=3") {
            try train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    private static let others = [
        "albert": [
            "model.config={model_type: albert, embedding_size: 16, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64, max_position_embeddings: 32, architectures: [AlbertForMaskedLM]}",
            "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
        ],
        "deberta": [
            "model.config={model_type: deberta-v2, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64, max_position_embeddings: 32, relative_attention: true, pos_att_type: [p2c, c2p], position_buckets: 8, share_att_key: true, norm_rel_ebd: layer_norm, conv_kernel_size: 3, conv_act: gelu, position_biased_input: false, type_vocab_size: 0, architectures: [DebertaV2ForMaskedLM]}",
            "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
        ],
        "bloom": ["model.config={model_type: bloom, hidden_size: 32, n_head: 4, n_layer: 2}"],
        "qwen3": [
            "model.config={model_type: qwen3, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 4, head_dim: 8, max_position_embeddings: 32, rms_norm_eps: 1e-5, hidden_act: silu, rope_theta: 10000}"
        ],
    ]

    /// What a rank holds: its part of weights, gradients and optimizer's states.
    @Test func partsTakeTheirShareOfMemory() throws {
        let recipe = try recipe([
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
        ])
        let path = folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, RankLayout("tensor=4"), on: device)
            var stream = try preparation.stream(from: nil)
            _ = try learner.accumulate(stream.next(), seed: 1)
            return Self.heldShares(of: learner)
        }
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.3 && share[2] < 0.52, "\(share)") }
    }

    @Test func dividedRunsResumeAtAnyLayout() throws {
        try train("whole", ranks: 1)
        try train("moved", [], ranks: 4, RankLayout("tensor=4"), until: 2)
        try train("moved", ranks: 1, until: 5)
        try train("moved", [], ranks: 4, RankLayout("tensor=2,data=2"), until: 7)
        try train("moved", ranks: 2, zero: 3, until: 9)
        try train("moved", [], ranks: 4, RankLayout("tensor=2,zero=3"), until: 11)
        try train("moved", [], ranks: 4, RankLayout("tensor=2,pipeline=2"))
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    @Test func whatIsNotDividedIsRefusedInWords() throws {
        for (overrides, word) in [(["optimizer.name=muon"], "as wholes"), (["optimizer.name=adafactor"], "as wholes")] {
            let error = #expect(throws: RunError.self) { try train("no", overrides, ranks: 2, RankLayout("tensor=2")) }
            #expect(error.map { "\($0)".contains(word) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    // MARK: - Pipelines

    private static let deep = [
        "llama": "model.config.num_hidden_layers=4", "gpt2": "model.config.n_layer=4",
        "bert": "model.config.num_hidden_layers=4", "t5": "model.config.num_layers=2",
        "mixtral": "model.config.num_hidden_layers=4",
    ]

    /// Stages of every family, tied tables and an encoder-decoder among them: the bytes of one rank in every
    /// checkpoint, the order that the simulator gives, and the bytes on the way that were counted before.
    @Test(arguments: families.indices) func everyPipelineGivesTheBytesOfOneRank(_ family: Int) throws {
        let (name, overrides) = (
            Self.families[family].name,
            Self.families[family].overrides + [Self.deep[Self.families[family].name] ?? ""]
        )
        let alone = try train("one", overrides, ranks: 1)
        let whole = try checkpoint("one")
        var layouts = [
            (2, "pipeline=2"), (2, "pipeline=2,schedule=gpipe"), (3, "pipeline=3"), (4, "pipeline=4"),
            (4, "data=2,pipeline=2"), (4, "pipeline=2,zero=1"), (2, "pipeline=2,schedule=zero-bubble"),
            (4, "pipeline=4,schedule=zero-bubble"),
        ]
        // Two runs of a stage would both read T5's table.
        if name != "t5" { layouts.append((2, "pipeline=2,interleave=2")) }
        for (ranks, text) in layouts {
            let layout = try RankLayout(text)
            let outcomes = try train(text, overrides, ranks: ranks, layout)
            #expect(try checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            let mesh = try layout.mesh(ranks: ranks)
            let simulated = try PipelineSimulation(
                layout.schedule.order(stages: mesh.stages, microBatches: 4 / mesh.lanes),
                .init(
                    runs: mesh.stages * layout.schedule.interleave, forward: 1, backwardInput: 1,
                    backwardWeight: 1),
                keepsEvents: true)
            for (rank, outcome) in outcomes.enumerated() {
                #expect(outcome.sent == outcome.planned, "\(name), \(text)")
                let stage = mesh.stage(of: rank)
                #expect(
                    outcome.items == simulated.events.filter { $0.stage == stage }.map(\.item),
                    "\(name), \(text)")
                guard name == "llama", layout.schedule.interleave == 1 else { continue }
                // A row of 32 floats for each of a stage's neighbours.
                let neighbours = (stage > 0 ? 1 : 0) + (stage + 1 < mesh.stages ? 1 : 0)
                #expect(outcome.sent[2] == neighbours * outcome.rows * 32 * 4, "\(text)")
            }
        }
    }

    /// Optimizers that look at whole matrices, averages of weights, layers computed again, parts that are frozen,
    /// shards of several passes where no table is tied, passes behind the last epoch, layers that share parameters,
    /// positions that layers share, and adapters' random zeros.
    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"],
        ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"], ["precision=bf16"],
        ["model.config.tie_word_embeddings=false", "batch.accumulation=8", "batch.shards=2"],
        ["model.config.tie_word_embeddings=false", "batch.shards=1"],
        ["epochs=1", "steps=null", "data.holdout=null"],
        ["albert"], ["deberta"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankInStages(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        var overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let masked = [
            "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
        ]
        if overrides == ["albert"] {
            overrides =
                masked + [
                    "model.config={model_type: albert, embedding_size: 16, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 4, intermediate_size: 64, max_position_embeddings: 32, architectures: [AlbertForMaskedLM]}"
                ]
        } else if overrides == ["deberta"] {
            overrides =
                masked + [
                    "model.config={model_type: deberta-v2, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 4, intermediate_size: 64, max_position_embeddings: 32, relative_attention: true, pos_att_type: [p2c, c2p], position_buckets: 8, share_att_key: true, norm_rel_ebd: layer_norm, conv_kernel_size: 3, conv_act: gelu, position_biased_input: false, type_vocab_size: 0, architectures: [DebertaV2ForMaskedLM]}"
                ]
        }
        let steps = try train("one", overrides, ranks: 1)[0].end
        let whole = try checkpoint("one", step: steps)
        let isOneShard = overrides.contains("batch.shards=1")
        for (ranks, text) in [(2, "pipeline=2"), (4, "pipeline=2,zero=1")]
        where ranks == 2 || !isOneShard {
            try train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    @Test func pipelinesResumeAtAnyLayout() throws {
        let overrides = ["model.config.num_hidden_layers=4"]
        try train("whole", overrides, ranks: 1)
        try train("moved", overrides, ranks: 2, RankLayout("pipeline=2"), until: 2)
        try train("moved", overrides, ranks: 1, until: 5)
        try train("moved", overrides, ranks: 4, RankLayout("pipeline=4"), until: 7)
        try train("moved", overrides, ranks: 2, zero: 3, until: 10)
        try train("moved", overrides, ranks: 4, RankLayout("pipeline=2,zero=1"))
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    /// What a rank holds: its stage's weights and gradients, and no pages of others.
    @Test func stagesHoldTheirLayersAlone() throws {
        let recipe = try recipe([
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
            "model.config.tie_word_embeddings=false",
        ])
        let path = folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(
                preparation, over: communicator, RankLayout("pipeline=4"), on: device)
            var stream = try preparation.stream(from: nil)
            let passes: [(batch: Batch, seed: UInt64)] = try (0..<4).map { _ in (try stream.next(), 1) }
            _ = try learner.accumulate(shards: passes.map { [$0] })
            let whole = Double(learner.gradients.count * 4)
            return [learner.gradients.storage, learner.parameters.all.storage].map {
                Double($0.residentBytes) / whole
            }
        }
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.3, "\(share)") }
    }

    @Test(arguments: [
        (2, "pipeline=2", ["batch.shards=2"], "set batch.shards to batch.accumulation, 4"),
        (4, "pipeline=4", [], "2 layers"),
        (
            2, "pipeline=2,interleave=2",
            ["model.config.num_hidden_layers=4", "batch.accumulation=1", "batch.shards=1"],
            "stages divide"
        ),
        (
            2, "pipeline=2",
            [
                "model.config.hidden_size=65536", "model.config.intermediate_size=1048576",
                "model.config.num_hidden_layers=96",
            ],
            "are free here"
        ),
    ]) func pipelinesThatCannotBeAreRefusedInWords(
        _ refused: (ranks: Int, layout: String, overrides: [String], word: String)
    ) throws {
        let error = #expect(throws: RunError.self) {
            try train("no", refused.overrides, ranks: refused.ranks, RankLayout(refused.layout))
        }
        #expect(error.map { "\($0)".contains(refused.word) } == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test func pipelinesLearnTokensAlone() throws {
        let recipe = try recipe()
        let preparation = try RunPreparation(
            recipe, folder: folder.path + "/task", on: Device(threads: 1))
        let error = #expect(throws: RunError.self) {
            _ = try Crew(2).run { communicator in
                let device = Device(threads: 1)
                var settings = ModelLearner.Settings()
                settings.task = NumberLoss()
                var ranks = ModelLearner.Ranks()
                (ranks.communicator, ranks.mesh) = (communicator, RankMesh(lanes: 1, stages: 2))
                _ = try ModelLearner(
                    preparation.architecture, from: SeededInitialiser(seed: 1, device: device), settings,
                    over: ranks,
                    on: device
                ) { OptimizerChoice.make(recipe.optimizer, $0) }
            }
        }
        #expect(error.map { "\($0)".contains("predict tokens") } == true)
    }

    /// A full disk on one rank: all are told, in its words, and nothing of the checkpoint stays.
    @Test func allThrowWhereOneFails() throws {
        struct FullDisk: Error {}
        let found = try Crew(4).run { communicator -> String in
            do {
                try communicator.agree {}
                try communicator.agree { if communicator.rank == 2 { throw FullDisk() } }
                return ""
            } catch {
                return "\(error)"
            }
        }
        for (rank, text) in found.enumerated() {
            #expect(
                rank == 2 ? text == "FullDisk()" : text.contains("rank 2: FullDisk()"), "\(rank): \(text)")
        }
    }

    /// What a rank holds between two steps: pages of gradients and of weights.
    @Test func dividedArraysTakeTheirShareOfMemory() throws {
        let overrides = [
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
            "steps=1", "evaluation=null",
        ]
        let recipe = try recipe(overrides)
        let path = folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        func shares(zero: Int) throws -> [(gradients: Double, weights: Double)] {
            try Crew(4).run { communicator in
                let device = Device(threads: 1)
                let preparation = try RunPreparation(recipe, folder: path, on: device)
                let learner = try ModelLearner(
                    preparation, over: communicator, RankLayout(zero: zero), on: device)
                var stream = try preparation.stream(from: nil)
                for pass in 0..<4 {
                    let batch = try stream.next()
                    if pass == communicator.rank { _ = try learner.accumulate(batch, seed: 1) }
                }
                let whole = Double(learner.gradients.count * 4)
                return (
                    Double(learner.gradients.storage.residentBytes) / whole,
                    Double(learner.parameters.all.storage.residentBytes) / whole
                )
            }
        }
        for share in try shares(zero: 1) { #expect(share.gradients > 0.95 && share.weights > 0.95) }
        for share in try shares(zero: 2) { #expect(share.gradients < 0.3 && share.weights > 0.95) }
        for share in try shares(zero: 3) { #expect(share.gradients < 0.3 && share.weights < 0.3) }
    }
}
