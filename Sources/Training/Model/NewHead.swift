import MartletJSON
import MartletLayers
import MartletTensors

/// The head that a labelled objective puts on a model, in the words of config.json and as an architecture.
enum NewHead {
    /// The model's configuration with the class of transformers that has the objective's head.
    ///
    /// - Throws: ``RunError`` for a model whose class cannot be told.
    static func config(
        _ config: JSONObject, _ objective: LabelledObjective, _ names: LabelNames
    ) throws(RunError) -> JSONObject {
        guard !objective.isConversational else { return config }
        var config = config
        config["architectures"] = [.string(try stem(config) + suffix(objective))]
        guard LabelledPreparation.hasNames(objective.kind) || objective.kind == .regression else { return config }
        let labels = objective.kind == .regression ? ["LABEL_0"] : names.names
        var (byNumber, byName) = (JSONObject(), JSONObject())
        for (number, name) in labels.enumerated() {
            byNumber["\(number)"] = .string(name)
            byName[name] = .integer(number)
        }
        (config["id2label"], config["label2id"], config["num_labels"]) = (.object(byNumber), .object(byName), nil)
        switch objective.kind {
        case .classification: config["problem_type"] = "single_label_classification"
        case .regression: config["problem_type"] = "regression"
        case .multiLabel: config["problem_type"] = "multi_label_classification"
        default: break
        }
        return config
    }

    /// The new head as an architecture: pooling that no class of transformers has is put in here.
    static func architecture(
        _ described: Architecture, _ objective: LabelledObjective, _ names: LabelNames
    ) -> Architecture {
        var architecture = described
        let labels = objective.kind == .regression ? 1 : names.count
        switch (objective.kind, objective.pooling) {
        case (.classification, .mean), (.multiLabel, .mean), (.regression, .mean):
            architecture.head = .sequence(nil, labels: labels, from: .mean)
        case (.classification, .first), (.multiLabel, .first), (.regression, .first):
            architecture.head = .sequence(nil, labels: labels, from: .first)
        case (.embeddings, _): architecture.head = .none
        default: break
        }
        return architecture
    }

    private static func suffix(_ objective: LabelledObjective) -> String {
        switch objective.kind {
        case .classification, .regression, .multiLabel:
            objective.pooling == .family ? "ForSequenceClassification" : "Model"
        case .tagging: "ForTokenClassification"
        case .answering: "ForQuestionAnswering"
        case .nextSentence: "ForNextSentencePrediction"
        case .embeddings, .instructions, .preferences: "Model"
        }
    }

    private static let suffixes = [
        "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForNextSentencePrediction",
        "ForConditionalGeneration", "ForPreTraining", "ForMaskedLM", "ForCausalLM", "LMHeadModel", "DoubleHeadsModel",
        "ForMultipleChoice", "WithLMHeadModel", "Model",
    ]

    /// The classes of model types whose configurations often name none.
    private static let stems = [
        "bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "distilbert": "DistilBert",
        "albert": "Albert", "electra": "Electra", "deberta-v2": "DebertaV2", "llama": "Llama", "gpt2": "GPT2",
        "qwen2": "Qwen2", "mistral": "Mistral", "t5": "T5", "bart": "Bart",
    ]

    private static func stem(_ config: JSONObject) throws(RunError) -> String {
        if let name = config["architectures"]?[0]?.stringValue,
            let suffix = suffixes.first(where: { name.hasSuffix($0) })
        {
            return String(name.dropLast(suffix.count))
        }
        if let stem = config["model_type"]?.stringValue.flatMap({ stems[$0] }) { return stem }
        throw RunError(
            "the model's config.json names no class in \"architectures\", from which that of the new head follows")
    }
}

extension LabelledObjective {
    /// The loss of this objective on a model; nil where tokens are predicted, or the loss needs the model's first
    /// weights.
    ///
    /// - Parameter sentences: how the model makes vectors of texts.
    func loss(
        _ names: LabelNames, _ form: LossForm, _ sentences: SentencePooling, _ distillation: Distillation?
    ) -> (any TaskLoss)? {
        switch kind {
        case .classification, .nextSentence:
            return ClassLoss(.texts, names: names.names, form, distillation: distillation)
        case .tagging: return ClassLoss(.rows, names: names.names, form)
        case .regression: return NumberLoss()
        case .multiLabel: return MultiLabelLoss()
        case .answering: return SpanLoss()
        case .instructions, .preferences: return nil
        case .embeddings:
            let form: EmbeddingLoss.Form =
                switch similarity {
                case .inBatch: .inBatchNegatives(scale: Float(scale))
                case .cosine: .cosine
                case .triplet: .triplet(margin: Float(margin))
                case .teacher: .teacher
                }
            return EmbeddingLoss(
                form, from: sentences.row, isNormalized: sentences.isNormalized, widths: widths)
        }
    }
}
