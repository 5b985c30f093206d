import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Runs of tiny models on ranks that are threads, in one folder.
struct RankRuns {
    let folder = FolderForTests()
    static let steps = 12

    /// A tiny model of each of five families, with what its objective needs.
    static let families: [(name: String, overrides: [String])] = [
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

    func recipe(_ overrides: [String] = []) throws -> Recipe {
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
                steps: \(RankRuns.steps)
                evaluation: {every: 6, batches: 3}
                checkpoints: {every: 6, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    struct Outcome: Sendable {
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
    func train(
        _ name: String, _ overrides: [String] = [], ranks: Int, zero: Int = 0, until last: Int = steps
    ) throws -> [Outcome] {
        try train(name, overrides, ranks: ranks, RankLayout(zero: zero), until: last)
    }

    @discardableResult
    func train(
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
                    try batches.reduce(learner.routedActivations) { try $0 + learner.plannedActivations($1) },
                ],
                rows: batches.reduce(0) { $0 + $1.reduce(0) { $0 + $1.rows.count } }, end: run.state.step,
                items: learner.pipelineItems, routed: learner.routedRows,
                experts: (communicator.traffic[.experts], learner.plannedExperts(width: 32, experts: 4)))
        }
    }

    func checkpoint(_ name: String, step: Int = steps) throws -> [[UInt8]] {
        let store = CheckpointStore(folder.path + "/" + name + "/checkpoints")
        return try ["weights", "optimizer"].map {
            try Storage(mapping: store.path(step) + "/\($0).safetensors").contents
        }
    }

    /// Models of other families, by name.
    static let others = [
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

    /// The shares of all parameters' size that a rank holds: pages of gradients and of weights, and optimizer's states.
    static func heldShares(of learner: ModelLearner) -> [Double] {
        let states = learner.optimizerState.flatMap(\.pieces).reduce(0) { $0 + $1.tensor.bytes }
        let bytes = [learner.gradients.storage, learner.parameters.all.storage].map(\.residentBytes) + [states]
        return bytes.map { Double($0) / Double(learner.gradients.count * 4) }
    }
}
