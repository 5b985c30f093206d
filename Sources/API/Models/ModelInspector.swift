import MartletGeneration
package import MartletJSON
import MartletLayers
package import MartletModels
import MartletPlanning
package import MartletTasks
package import MartletTensors
import MartletTokenizers

/// An inspector of a loaded model: one real forward pass with what it computed on the way, which *Look inside* shows.
package struct ModelInspector: Sendable {
    private let file: ModelFile
    private let model: Model
    private let device: Device
    /// The maximum number of attention weights of one look: layers × heads × rows × keys.
    private static let mostWeights = 12 << 20
    private static let mostTokens = 512

    package init(_ file: ModelFile, _ model: Model, on device: Device) {
        (self.file, self.model, self.device) = (file, model, device)
    }

    /// The question of a look: the text that is looked at, and the row.
    package struct Question: Sendable {
        var text: String
        /// A second text, for models that read two.
        var pair: String?
        /// The text that an encoder-decoder's decoder reads; what it writes itself when nil.
        var target: String?
        /// The row whose next token is looked at; the last one, or the first mask, when nil.
        var row: Int?

        package init(text: String, pair: String? = nil, target: String? = nil, row: Int? = nil) {
            (self.text, self.pair, self.target, self.row) = (text, pair, target, row)
        }
    }

    /// Looks, and tells everything as JSON.
    ///
    /// - Parameter writer: What an encoder-decoder writes with.
    /// - Throws: ``APIError`` for a text that is too long to be looked at, with both numbers; what tokenizing throws.
    package func look(_ question: Question, _ vocabulary: any WriterVocabulary, _ writer: Writer?) throws -> JSON {
        var input = try source(question, vocabulary)
        try check(input)
        if let writer {
            input.decoderTokens = try target(question, vocabulary, writer)
            try check(input)
        }
        let results = try ForwardPass.run(
            model, file.architecture, [input], recording: .weights, layers: .all, on: device)
        let tensors = Dictionary(results.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
        var answer = JSONObject()
        answer["kind"] = .string(kind)
        answer["model_type"] = .string(file.modelType)
        answer["tokens"] = tokens(input.tokens, vocabulary) { vocabulary.spelling(ofRead: $0) ?? "" }
        if let written = input.decoderTokens {
            answer["target_tokens"] = tokens(written, vocabulary) { ModelInspector.text($0, vocabulary) }
        }
        for name in ["attention", "encoder_attention", "cross_attention"] {
            let layers = ModelInspector.layers(name, tensors)
            if !layers.isEmpty { answer[name] = .array(layers.map(ModelInspector.weights)) }
        }
        let row = row(question, input, vocabulary)
        let hidden = ModelInspector.layers("hidden", tensors)
        answer["row"] = .integer(row)
        answer["layers"] = .array(hidden.map { guesses($0, row: row, vocabulary) })
        if let logits = tensors["logits.0"] { answer["next"] = next(logits, row, vocabulary) }
        answer["cost"] = try cost(input)
        return .object(answer)
    }

    private var kind: String {
        switch model {
        case .decoder: "decoder"
        case .encoder: "encoder"
        case .encoderDecoder: "encoder-decoder"
        }
    }

    // MARK: Input

    private func source(_ question: Question, _ vocabulary: any WriterVocabulary) throws -> ForwardPass.Input {
        guard let tokenizer = vocabulary as? Tokenizer else {
            return ForwardPass.Input(try vocabulary.read(question.text, addSpecialTokens: true))
        }
        let encoding = try tokenizer.encoding(of: question.text, pair: question.pair)
        let segments = file.architecture.embedding.segments > 1 ? encoding.typeIDs : nil
        return ForwardPass.Input(encoding.ids, segments: segments)
    }

    private func target(_ question: Question, _ vocabulary: any WriterVocabulary, _ writer: Writer) throws -> [Int32] {
        let written =
            try question.target.map { try vocabulary.written($0) }
            ?? writer.write([question.text]).first?.first?.tokens ?? []
        return [writer.settings.startToken] + written
    }

    private func check(_ input: ForwardPass.Input) throws(APIError) {
        let count = max(input.tokens.count, input.decoderTokens?.count ?? 0)
        guard count > 0 else { throw .invalid("The text has no tokens.", "text") }
        let maps = file.architecture.attentionMaps
        let weights = maps * count * count
        guard count <= ModelInspector.mostTokens, weights <= ModelInspector.mostWeights else {
            var most = ModelInspector.mostTokens
            while most > 1 && maps * most * most > ModelInspector.mostWeights { most -= 1 }
            throw .invalid(
                "The text has \(count) tokens; with \(maps) attention maps at most \(most) are looked at.", "text",
                code: "text_too_long")
        }
    }

    private func row(_ question: Question, _ input: ForwardPass.Input, _ vocabulary: any WriterVocabulary) -> Int {
        let read = input.decoderTokens ?? input.tokens
        if let row = question.row { return min(max(0, row), read.count - 1) }
        let mask = (vocabulary as? Tokenizer)?.specialTokens.mask ?? vocabulary.id(ofToken: "[MASK]")
        return mask.flatMap { read.firstIndex(of: $0) } ?? read.count - 1
    }

    // MARK: Output

    private func tokens(
        _ ids: [Int32], _ vocabulary: any WriterVocabulary, _ text: (Int32) -> String
    ) -> JSON {
        .array(
            ids.map { id in
                let bytes = (vocabulary as? Tokenizer)?.bytes(ofToken: id) ?? []
                return [
                    "id": .integer(Int(id)), "text": .string(text(id)),
                    "bytes": .array(bytes.map { .integer(Int($0)) }),
                ]
            })
    }

    private static func text(_ id: Int32, _ vocabulary: any WriterVocabulary) -> String {
        guard let tokenizer = vocabulary as? Tokenizer else { return vocabulary.spelling(ofWritten: id) ?? "" }
        return tokenizer.bytes(ofToken: id).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The tensors `name.0.LAYER`, in order.
    private static func layers(_ name: String, _ tensors: [String: Tensor]) -> [Tensor] {
        var layers: [Tensor] = []
        while let tensor = tensors["\(name).0.\(layers.count)"] { layers.append(tensor) }
        return layers
    }

    /// `[heads, rows, keys]` as bytes: 255 is a weight of 1.
    private static func weights(_ tensor: Tensor) -> JSON {
        let bytes = tensor.values.map { UInt8(max(0, min(255, ($0 * 255).rounded()))) }
        return [
            "heads": .integer(tensor.shape[0]), "rows": .integer(tensor.shape[1]), "keys": .integer(tensor.shape[2]),
            "weights": .base64(bytes),
        ]
    }

    /// The guesses of a layer as if it were the last (logit lens): its best five tokens for one row.
    private func guesses(_ hidden: Tensor, row: Int, _ vocabulary: any WriterVocabulary) -> JSON {
        guard let logits = model.guesses(hidden.rows(row..<row + 1)) else { return [] }
        let summary = logits.summary(row: 0, largest: 5)
        return .array(
            summary.largest.map { best in
                [
                    "id": .integer(best.index), "text": .string(ModelInspector.text(Int32(best.index), vocabulary)),
                    "log_probability": .score(summary.logProbability(of: best.value)),
                ]
            })
    }

    /// The logits of one row, all of them, with the texts of the most probable.
    private func next(_ logits: Tensor, _ row: Int, _ vocabulary: any WriterVocabulary) -> JSON {
        let width = logits.shape[logits.shape.rank - 1]
        let isByRow = logits.shape.rank == 2 && logits.shape[0] > row
        let values = Array(isByRow ? logits.values[row * width..<(row + 1) * width] : logits.values[..<width])
        let isOfTokens = width >= file.architecture.vocabulary || file.architecture.writes
        let best = Tensor(values, shape: [1, width]).summary(row: 0, largest: min(300, width)).largest.map(\.index)
        return [
            "logits": .base64(values),
            "best": .array(
                best.map { id in
                    [
                        "id": .integer(id),
                        "text": .string(isOfTokens ? ModelInspector.text(Int32(id), vocabulary) : "class \(id)"),
                    ]
                }),
        ]
    }

    /// The cost of this pass as the planner tells it, by part.
    private func cost(_ input: ForwardPass.Input) throws -> JSON {
        let blueprint = try Blueprint(file.architecture, modelType: file.modelType)
        let tokens = input.decoderTokens?.count ?? input.tokens.count
        let workload = Workload(tokens: tokens, sourceTokens: input.tokens.count)
        let terms = OperationCount(blueprint).forwardTerms(workload)
        return [
            "parameters": .array(
                ParameterRole.allCases.compactMap { role in
                    let count = blueprint.tensors.reduce(Count(0)) { $0 + ($1.role == role ? $1.elements : 0) }
                    guard count > 0 else { return nil }
                    return ["part": .string(role.rawValue), "count": .integer(Int(clamping: count))]
                }),
            "operations": .array(
                OperationTerm.allCases.compactMap { term in
                    guard let count = terms[term], count > 0 else { return nil }
                    return ["part": .string(term.rawValue), "count": .integer(Int(clamping: count))]
                }),
        ]
    }
}

extension Architecture {
    /// The number of attention maps that a pass makes: heads of all layers, cross-attention's too.
    fileprivate var attentionMaps: Int {
        layers.reduce(0) { $0 + $1.attention.queryHeads + ($1.crossAttention?.queryHeads ?? 0) }
    }
}
