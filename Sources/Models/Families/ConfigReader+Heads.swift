import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// The head on an encoder, as the last part of a class name in `architectures` says.
enum EncoderHead {
    case model, maskedTokens, pretraining, nextSentence, sequence, tokens, answers
}

extension ConfigReader {
    /// The head that `architectures` names; the bare model where the key is absent.
    func encoderHead() -> EncoderHead {
        // Says something of the projection to the vocabulary only, and stands beside every head.
        ignore("tie_word_embeddings")
        guard let name = optionalStrings("architectures")?.first else { return .model }
        let known: KeyValuePairs<String, EncoderHead> = [
            "ForMaskedLM": .maskedTokens, "ForPreTraining": .pretraining, "ForNextSentencePrediction": .nextSentence,
            "ForSequenceClassification": .sequence, "ForTokenClassification": .tokens,
            "ForQuestionAnswering": .answers, "LMHeadModel": .maskedTokens, "ForCausalLM": .maskedTokens,
            "Model": .model,
        ]
        if let head = known.first(where: { name.hasSuffix($0.key) })?.value { return head }
        let names = known.map(\.key).joined(separator: ", ")
        reject("architectures names \(name), but of an encoder's heads only these are known: \(names)")
        return .model
    }

    /// The head on a decoder: what `architectures` names, else the projection to the vocabulary.
    ///
    /// Source: the classes of transformers that begin with a decoder. Sequences are classified by their last token that
    /// is no padding.
    func decoderHead(_ tokens: Architecture.TokenHead) -> Architecture.Head {
        let name = optionalStrings("architectures")?.first ?? ""
        func ends(_ suffix: String) -> Bool { name.hasSuffix(suffix) }
        if ends("ForSequenceClassification") {
            return .sequence(nil, labels: labels(), from: .last(unless: specialToken("pad_token_id")))
        }
        if ends("ForTokenClassification") { return .rows(nil, labels: labels()) }
        if ends("ForQuestionAnswering") { return .answers() }
        return ends("Model") && !ends("LMHeadModel") && !ends("DoubleHeadsModel") ? .none : .tokens(tokens)
    }

    /// The head on an encoder-decoder; `dense` comes before its classes.
    ///
    /// - Parameter wraps: whether the last token of the source becomes the first that the decoder reads (mBART).
    /// - Returns: also the token behind which the decoder reads the source again, where it does not write.
    func encoderDecoderHead(
        _ tokens: Architecture.TokenHead, dense: Architecture.Transform, wraps: Bool = false
    ) -> (Architecture.Head, rereadsBehind: Architecture.Start?) {
        let name = optionalStrings("architectures")?.first ?? ""
        let (isSequence, isAnswers) = (
            name.hasSuffix("ForSequenceClassification"), name.hasSuffix("ForQuestionAnswering")
        )
        guard isSequence || isAnswers else { return (.tokens(tokens), nil) }
        ignore("tie_word_embeddings")
        let own = specialToken("decoder_start_token_id").map { Architecture.Start.token($0) }
        guard let start = wraps ? .last(unless: specialToken("pad_token_id") ?? 1) : own else {
            reject("decoder_start_token_id is missing, behind which the decoder reads the text")
            return (.answers(), nil)
        }
        if isAnswers { return (.answers(), start) }
        guard let end = specialToken("eos_token_id") else {
            reject("eos_token_id is missing, whose row is classified")
            return (.answers(), start)
        }
        return (.sequence(dense, labels: labels(), from: .lastOf(end)), start)
    }

    /// True where `architectures` names the model without any head.
    var isBareModel: Bool { optionalStrings("architectures")?.first.map(ConfigReader.isBare) ?? false }

    /// Returns whether a class of the reference is a model without any head, by its name.
    package static func isBare(_ className: String) -> Bool {
        className.hasSuffix("Model") && !["MTModel", "HeadModel", "HeadsModel"].contains(where: className.hasSuffix)
    }

    /// A token by its role; nil when it is absent or negative, as older configurations spell absence.
    private func specialToken(_ key: String) -> Int32? {
        json(key)?.integerValue.flatMap { $0 < 0 ? nil : Int32(exactly: $0) }
    }

    /// Classes that a model tells apart.
    func labels() -> Int {
        if let labels = json("id2label")?.objectValue, labels.count > 0 { return labels.count }
        return integer("num_labels", default: 2)
    }

    /// Biases of the usual kind on attention and feed-forward, a norm after each sublayer: BERT's layers.
    func bertLayers(width: Int, norm: Architecture.Norm, reach: (Int) -> Architecture.Reach = { _ in .all })
        -> [Architecture.Layer]
    {
        let heads = integer("num_attention_heads", default: 12)
        let hidden = integer("intermediate_size", default: 3_072)
        let activation = activation("hidden_act", default: .gelu)
        let headWidth = headWidth(width, heads)
        return (0..<integer("num_hidden_layers", default: 12, in: ConfigReader.layers)).map { layer in
            Architecture.Layer(
                norm: norm, arrangement: .after,
                attention: .init(
                    queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
                    reach: reach(layer), bias: .all),
                feedForward: .plain(hidden: hidden, activation, bias: .present))
        }
    }

    /// The width of a head, width / heads, which must be whole.
    func headWidth(_ width: Int, _ heads: Int) -> Int {
        if width % heads != 0 { reject("\(heads) heads do not divide a width of \(width)") }
        return max(1, width / heads)
    }

    /// Refuses positions that act on the scores, which old configurations could ask for.
    func requireAbsolutePositions() {
        choice("position_embedding_type", of: ["absolute": ()], default: ())
    }

    /// The head over the vocabulary, whose projection is the token table in encoders unless they say otherwise.
    func tokenHead(_ transform: Architecture.Transform) -> Architecture.TokenHead {
        .init(
            weights: bool("tie_word_embeddings", default: true) ? .tied : .own, bias: .present, transform: transform)
    }
}

/// The names in checkpoints of the weights that BERT and its relatives share.
enum BERTNames {
    static let encoder: WeightNames = [
        "tokens": "embeddings.word_embeddings",
        "encoder.positions": "embeddings.position_embeddings",
        "encoder.segments": "embeddings.token_type_embeddings",
        "encoder.tasks": "embeddings.task_type_embeddings",
        "encoder.inputNorm": "embeddings.LayerNorm",
        "encoder.#.attention.query": "encoder.layer.#.attention.self.query",
        "encoder.#.attention.key": "encoder.layer.#.attention.self.key",
        "encoder.#.attention.value": "encoder.layer.#.attention.self.value",
        "encoder.#.attention.output": "encoder.layer.#.attention.output.dense",
        "encoder.#.attention.normAfter": "encoder.layer.#.attention.output.LayerNorm",
        "encoder.#.feedForward.up": "encoder.layer.#.intermediate.dense",
        "encoder.#.feedForward.down": "encoder.layer.#.output.dense",
        "encoder.#.feedForward.normAfter": "encoder.layer.#.output.LayerNorm",
        "pooled.transform": "pooler.dense",
        "rows": "classifier",
        "answers": "qa_outputs",
    ]

    /// Numbers of positions, and the pooler where nothing reads it.
    static let unused = [
        "embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.weight", "pooler.dense.bias",
    ]
}

/// The names in checkpoints of the heads of decoders that do not write.
enum DecoderHeads {
    /// Llama and all that came after.
    static let names: WeightNames = ["sequence": "score", "rows": "score", "answers": "qa_outputs"]
    /// GPT-2, BLOOM, Falcon, GPT-NeoX.
    static let older = names.adding(["rows": "classifier"])
}
