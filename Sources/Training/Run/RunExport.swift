import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
package import MartletTensors

/// The export of a run's weights into a Hugging Face directory, `RUN/model`: what transformers, `martlet generate` and
/// `martlet convert` read.
package struct RunExport: Sendable {
    private let preparation: RunPreparation
    private let device: Device
    private static let files = [
        "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja",
    ]

    package init(_ preparation: RunPreparation, on device: Device) {
        (self.preparation, self.device) = (preparation, device)
    }

    /// Writes the directory aside and puts it in its place.
    ///
    /// - Parameter weights: by our names.
    /// - Throws: ``ModelError`` for a family that cannot be written, ``FileError``, ``FormatError``.
    package func write(_ weights: [(name: String, tensor: Tensor)], to folder: String) throws {
        let aside = folder + ".partial"
        Folder.remove(aside)
        try Folder.make(aside)
        var config = preparation.config
        if try preparation.adapters == nil {
            config["torch_dtype"] = .string(try writeWeights(weights, to: aside))
        } else {
            try writeAdapter(weights, to: aside)
        }
        if config["architectures"] == nil,
            let name = ModelFile.className(preparation.config["model_type"]?.stringValue ?? "")
        {
            config["architectures"] = [.string(name)]
        }
        try writeFile(JSON.object(config).serialized(.pretty(indent: 2)), to: aside + "/config.json")
        try writeFile(preparation.tokenizerJSON.serialized(), to: aside + "/tokenizer.json")
        try writeTokenizerConfig(to: aside)
        if case .config = preparation.recipe.model, let generation = ModelFile.generationConfig(config) {
            try writeFile(JSON.object(generation).serialized(.pretty(indent: 2)), to: aside + "/generation_config.json")
        }
        Folder.remove(folder + ".old")
        if fileExists(folder) { try Folder.rename(folder, to: folder + ".old") }
        try Folder.rename(aside, to: folder)
        Folder.remove(folder + ".old")
    }

    /// The factors as peft keeps them, with the head and whatever else is trained whole.
    private func writeAdapter(_ weights: [(name: String, tensor: Tensor)], to aside: String) throws {
        guard var configuration = preparation.recipe.adapters, let (targets, layout) = try preparation.adapters,
            case .directory(let base) = preparation.recipe.model
        else { return }
        let kind = preparation.recipe.objective.labelled?.kind
        configuration.task =
            switch kind {
            case .classification, .regression, .multiLabel, .nextSentence: "SEQ_CLS"
            case .tagging: "TOKEN_CLS"
            case .answering: "QUESTION_ANS"
            case .embeddings: "FEATURE_EXTRACTION"
            case nil, .instructions, .preferences:
                switch preparation.architecture.body {
                case .decoder: "CAUSAL_LM"
                case .encoderDecoder: "SEQ_2_SEQ_LM"
                // peft has no word for masked tokens, and needs none.
                case .encoder: nil
                }
            }
        configuration.base = Folder.absolute(base)
        configuration.isTransposed = layout.targets.contains { target in
            targets.modules.contains { $0.path.hasSameBytes(as: target.module) && $0.isTransposed }
        }
        if configuration.targets.isEmpty {
            configuration.targets = Array(Set(layout.targets.map { RunExport.ending(of: $0.module) })).sorted()
        }
        var whole = weights.filter { !$0.name.hasPrefix("adapters.") }
        if case .sequence(_, _, let row) = preparation.architecture.head,
            let objective = preparation.recipe.objective
                .labelled, objective.pooling != .family
        {
            try writeDense(weights, row, to: aside)
            whole = whole.filter { !$0.name.hasPrefix("sequence.") }
        }
        let saved = whole.compactMap { name, tensor in targets.path(of: name).map { (name: $0, tensor: tensor) } }
        let modules = saved.map { $0.name.split(separator: ".").dropLast().last.map(String.init) ?? "" }
        configuration.savedModules = Array(Set(modules)).sorted()
        configuration.keepsTies =
            preparation.architecture.hasTiedHead && whole.contains { $0.name.hasSameBytes(as: "tokens.weight") }
        let factors = Dictionary(weights.map { ($0.name, $0.tensor) }) { first, _ in first }
        try AdapterFile.write(configuration, layout, factors: factors, saved: saved, in: aside)
    }

    /// The name by which peft is to find a module: its own, and where that is one of BERT's many `dense`, what it is
    /// part of, so that a pooler which the base has and this model has not is left alone.
    private static func ending(of module: String) -> String {
        let parts = module.split(separator: ".")
        let isCommon = parts.last.map { String($0).hasSameBytes(as: "dense") } ?? false
        return parts.suffix(isCommon ? 2 : 1).joined(separator: ".")
    }

    /// A pooled head as sentence-transformers' modules.
    private func writeDense(
        _ weights: [(name: String, tensor: Tensor)], _ row: Architecture.SequenceRow, to aside: String
    ) throws {
        let dense = weights.filter { $0.name.hasPrefix("sequence.") }.map { name, tensor in
            (name: "linear." + name.dropFirst("sequence.".count), tensor: tensor)
        }
        let limit = min(preparation.recipe.length, preparation.architecture.context ?? .max)
        try SentenceHead.write(row, dense, limit: limit, in: aside) { try Folder.make($0) }
    }

    /// The weights under the names of transformers, and a head that none of its classes has as sentence-transformers'
    /// modules.
    private func writeWeights(_ weights: [(name: String, tensor: Tensor)], to aside: String) throws -> String {
        let modelType = preparation.config["model_type"]?.stringValue ?? ""
        var body = preparation.architecture
        let objective = preparation.recipe.objective.labelled
        if case .sequence(_, _, let row) = body.head, let objective, objective.pooling != .family {
            body.head = .none
            try writeDense(weights, row, to: aside)
        }
        let values = Dictionary(weights.map { ($0.name, $0.tensor) }) { first, _ in first }
        let source = WeightSource(try body.inventory(), values: values)
        return try ModelExport(modelType: modelType, body, source, on: device).writeSafetensors(in: aside)
    }

    /// Writes the files that make a sentence encoder of a body: the origin's modules, or the plain mean.
    private func writeSentenceFiles(from origin: String, to folder: String) throws {
        for name in ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"]
        where fileExists("\(origin)/\(name)") {
            try writeFile(fileBytes("\(origin)/\(name)"), to: "\(folder)/\(name)")
        }
        for name in Folder.names(in: origin) where fileExists("\(origin)/\(name)/config.json") {
            try Folder.make("\(folder)/\(name)")
            try writeFile(
                fileBytes("\(origin)/\(name)/config.json"), to: "\(folder)/\(name)/config.json")
        }
    }

    /// The files beside a tokenizer that a model directory brought along, or one that names the roles of the recipe's
    /// tokens.
    private func writeTokenizerConfig(to folder: String) throws {
        if case .directory(let origin) = preparation.recipe.model {
            for name in RunExport.files where fileExists("\(origin)/\(name)") {
                try writeFile(fileBytes("\(origin)/\(name)"), to: "\(folder)/\(name)")
            }
            if preparation.recipe.objective.labelled?.kind == .embeddings {
                try writeSentenceFiles(from: origin, to: folder)
            }
            return
        }
        var config = JSONObject()
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        config["clean_up_tokenization_spaces"] = false
        config["bos_token"] = preparation.recipe.data.documentStart.map { .string($0) }
        config["eos_token"] = preparation.recipe.data.documentEnd.map { .string($0) }
        try writeFile(JSON.object(config).serialized(.pretty(indent: 2)), to: folder + "/tokenizer_config.json")
    }
}
