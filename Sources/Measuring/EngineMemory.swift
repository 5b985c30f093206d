package import MartletLayers
internal import MartletModels
package import MartletPlanning
internal import MartletTensors

/// The peak resident memory of a run of this engine: its own parameters as it packs them, blocks of keys and values,
/// buffers that are used again, and what stands beside the model.
package struct EngineMemory: Sendable {
    /// The program with its library, before any model.
    package let program: Quantity
    package let tokenizer: Quantity
    /// Matrices in panels, vectors in f32.
    package let weights: Quantity
    /// The tables that are looked up row by row, by the pages of the file that hold those rows.
    package let tables: Quantity
    /// A piece of a matrix as the file has it, while it is being packed.
    package let loading: Quantity
    package let cache: Quantity
    package let buffers: Quantity
    package let logits: Quantity
    /// The bytes of matrices in panels, a part of the weights.
    package let packedBytes: Int

    /// The bytes that the program takes by itself, measured on Linux x86-64; sizes of other builds differ by a few MB.
    private static let programBytes: Count = 14_500_000
    /// The bytes that a tokenizer takes for each entry of its vocabulary: measured 280 from a GGUF, 500 to 680 from a
    /// tokenizer.json.
    package enum TokenizerFile: Count, Sendable { case gguf = 280, json = 560, unknown = 450 }
    /// The bytes that the system maps around a byte that is read of a file.
    private static let mappedAround: Count = 65_536

    /// - Parameters:
    ///   - tokens: kept by each sequence at the end.
    ///   - source: tokens an encoder-decoder reads.
    ///   - rows: rows of the largest pass.
    ///   - distinct: how many different tokens are looked up; as many as there are where nobody knows.
    /// - Throws: ``PlanningError`` for a description that cannot be run.
    package init(
        _ architecture: Architecture, types: @escaping StoredTypes, tokens: Int, source: Int = 0,
        sequences: Int = 1, rows: Int, distinct: Int? = nil, tokenizerFile: TokenizerFile = .unknown
    ) throws(PlanningError) {
        let counted = EmptyWeights(types: types)
        do { _ = try Model(architecture, Scope(counted)) } catch { throw .impossible(error.description) }
        packedBytes = counted.packedBytes
        let vocabulary = architecture.embedding.targetVocabulary ?? architecture.vocabulary
        program = .resident(EngineMemory.programBytes, "program", "a constant of the build, measured without a model")
        tokenizer = .resident(
            tokenizerFile.rawValue * Count(architecture.vocabulary), "tokenizer", "bytes per entry · vocabulary",
            [.init("bytes per entry", tokenizerFile.rawValue), .init("vocabulary", architecture.vocabulary)])
        weights = .resident(
            Count(counted.packedBytes + counted.vectorBytes), "weights",
            "Σ panels of 64 outputs + 4 · elements of vectors",
            [.init("matrices", counted.packedBytes), .init("vectors", counted.vectorBytes)])
        let looked = distinct ?? sequences * max(tokens, source)
        tables = .resident(
            min(Count(looked) * EngineMemory.mappedAround, Count(counted.tableBytes)), "tables",
            "min(64 KiB · distinct tokens, tables)",
            [.init("distinct tokens", looked), .init("tables", counted.tableBytes)])
        loading = .resident(
            Count(counted.loadingBytes), "loading",
            "max over matrices of packed so far + at most 8 MiB of the stored matrix",
            [.init("largest stored matrix", counted.largestStoredBytes)])
        cache = .resident(
            EngineMemory.cacheBytes(architecture, tokens: tokens, source: source, sequences: sequences), "cache",
            "Σ layers sequences · ⌈tokens / 64⌉ · held(4 · 64 · key heads · 2 · head width)",
            [.init("tokens", tokens), .init("source", source), .init("sequences", sequences)])
        buffers = .resident(
            EngineMemory.bufferBytes(architecture, rows: rows, types: types), "buffers",
            "Σ buffers in use at a time · held(4 · rows · width)", [.init("rows", rows)])
        let headRows = Count(architecture.headReadsEveryRow ? rows : sequences)
        logits = .resident(
            architecture.hasVocabularyHead ? 8 * Count(vocabulary) * headRows : 0, "logits",
            "logits and a copy, 4 bytes each, of every row that has them",
            [.init("vocabulary", vocabulary), .init("rows", Int(headRows))])
    }

    /// The parts that are resident together while the model works.
    package var parts: [(name: String, quantity: Quantity)] {
        [
            ("program", program), ("tokenizer", tokenizer), ("weights", weights), ("tables", tables), ("cache", cache),
            ("buffers", buffers), ("logits", logits),
        ]
    }

    /// The total: program + tokenizer + max(loading, weights + tables + cache + buffers + logits).
    package var total: Quantity {
        func sum(_ quantities: [Quantity]) -> Count { quantities.reduce(0) { $0 + ($1.count ?? 0) } }
        let working = sum([weights, tables, cache, buffers, logits])
        let peak = sum([program, tokenizer]) + max(working, loading.count ?? 0)
        return Quantity(
            peak, .bytes,
            Formula(
                "engine.memory", "program + tokenizer + max(loading, weights + tables + cache + buffers + logits)",
                convention: "the highest resident set, file pages included", source: "this engine"),
            (parts + [("loading", loading)]).map { .init($0.name, $0.quantity.readable) })
    }

    /// The size in bytes of the KV cache: blocks of 64 positions, in f32; windows are kept whole.
    package static func cacheBytes(
        _ architecture: Architecture, tokens: Int, source: Int = 0, sequences: Int
    ) -> Count {
        func blocks(_ form: Architecture.Attention, _ tokens: Int) -> Count {
            let size = BlockLayout.positions
            let block = Device.heldBytes(for: 4 * size * form.keyHeads * (form.headWidth + form.valueWidth))
            return Count((tokens + size - 1) / size) * Count(block)
        }
        return architecture.stacks.filter { $0.role == .decoder }.flatMap(\.stack.layers).reduce(0) { total, layer in
            total + Count(sequences)
                * ((layer.attention.keepsKeyValues ? blocks(layer.attention, tokens) : 0)
                    + (layer.crossAttention.map { blocks($0, source) } ?? 0))
        }
    }

    /// The bytes of the buffers that one layer has in use at a time, the widest of them; buffers go by the size classes
    /// of the device. Between its products a feed-forward has one buffer, of int8 blocks where its weights are
    /// quantized.
    private static func bufferBytes(
        _ architecture: Architecture, rows: Int, types: StoredTypes
    ) -> Count {
        func held(_ width: Int) -> Count { Count(Device.heldBytes(for: rows * width * 4)) }
        func prepared(_ width: Int) -> Count { Count(Device.heldBytes(for: rows * width * 9 / 8)) }
        let downs = ((try? architecture.inventory())?.entries ?? []).filter { $0.role == .down && $0.shape.rank == 2 }
        let quantized = Set(downs.filter { types($0).isBlockQuantized }.compactMap(\.place))
        var widest: Count = 0
        for (role, stack) in architecture.stacks {
            for (index, layer) in stack.layers.enumerated() {
                let form = layer.attention
                let hidden: Int
                switch layer.feedForward {
                case .plain(let width, _, _), .gated(let width, _, _), .expandedIntegral(let width): hidden = width
                case .experts(let experts): hidden = max(experts.hidden, experts.shared?.hidden ?? 0)
                }
                let isQuantized = quantized.contains(ParameterPlace(role, layer: layer.sharesParametersOf ?? index))
                let between = isQuantized ? prepared(hidden) + prepared(architecture.width) : held(hidden)
                widest = max(widest, 3 * held(form.queryWidth) + 4 * held(form.keyWidth) + between)
            }
        }
        return 4 * held(architecture.width) + widest
    }
}

extension Quantity {
    /// Bytes of a part of the engine.
    fileprivate static func resident(
        _ bytes: Count, _ part: String, _ text: String, _ inputs: [Quantity.Input] = []
    ) -> Quantity {
        Quantity(
            bytes, .bytes,
            Formula("engine.\(part)", text, convention: "resident at its peak", source: "this engine"), inputs)
    }
}

extension Architecture {
    var hasVocabularyHead: Bool {
        switch head {
        case .tokens, .pretraining: true
        default: false
        }
    }

    /// Encoders give logits for every row, decoders for the last.
    fileprivate var headReadsEveryRow: Bool { if case .encoder = body { true } else { false } }
}
