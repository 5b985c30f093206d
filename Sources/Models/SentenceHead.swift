import MartletFormats
package import MartletJSON
package import MartletLayers
import MartletPlatform
package import MartletTensors

/// A labelling head that no class of transformers has, as sentence-transformers' modules spell it: pooling, then one
/// dense layer whose outputs are the classes of config.json.
///
///     modules.json  1_Pooling/config.json  2_Dense/config.json  2_Dense/model.safetensors
package struct SentenceHead: Sendable {
    package let row: Architecture.SequenceRow
    package let labels: Int
    private let dense: StoredTensors

    private static let pooling: KeyValuePairs<String, Architecture.SequenceRow> = [
        "pooling_mode_mean_tokens": .mean, "pooling_mode_cls_token": .first,
    ]

    /// The head of a model directory; nil where its modules are not these, or config.json names no classes for them.
    package static func read(_ directory: String, _ config: JSONObject) throws -> SentenceHead? {
        guard config["problem_type"] != nil, fileExists(directory + "/modules.json") else { return nil }
        let modules = try JSON(contentsOf: directory + "/modules.json").arrayValue ?? []
        let kinds = modules.map { $0["type"]?.stringValue?.split(separator: ".").last.map(String.init) ?? "" }
        guard kinds == ["Transformer", "Pooling", "Dense"] else { return nil }
        func path(_ index: Int) -> String { "\(directory)/\(modules[index]["path"]?.stringValue ?? "")" }
        let settings = try JSON(contentsOf: path(1) + "/config.json")
        guard let row = pooling.first(where: { settings[$0.key]?.boolValue == true })?.value else { return nil }
        let dense = try Safetensors(contentsOf: path(2) + "/model.safetensors").tensors
        guard let weight = dense["linear.weight"], weight.extents.count == 2 else {
            throw ModelError("\(path(2)): the dense module has no matrix linear.weight")
        }
        return SentenceHead(row: row, labels: weight.extents[0], dense: dense)
    }

    /// The tensors of the body, and those of the dense layer as the family calls its classifier.
    func joined(_ body: StoredTensors, _ names: WeightNames) throws(FormatError) -> StoredTensors {
        let module = names.resolve("sequence.weight").map { String($0.name.dropLast("weight".count)) } ?? "classifier."
        return try body.overlaid(by: dense) { $0.hasPrefix("linear.") ? module + $0.dropFirst("linear.".count) : $0 }
    }

    /// Writes the modules beside a body that stands in `directory`.
    ///
    /// - Parameter weights: the dense layer's, `linear.weight` and where there is one `linear.bias`.
    package static func write(
        _ row: Architecture.SequenceRow, _ weights: [(name: String, tensor: Tensor)], limit: Int?, in directory: String,
        make: (String) throws -> Void
    ) throws {
        func write(_ json: JSON, _ name: String) throws {
            try writeFile(json.serialized(.pretty(indent: 2)), to: "\(directory)/\(name)")
        }
        guard let weight = weights.first(where: { $0.name.hasSuffix("weight") })?.tensor else { return }
        try make(directory + "/1_Pooling")
        try make(directory + "/2_Dense")
        let package = "sentence_transformers.models."
        let modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
        try write(
            .array(
                modules.enumerated().map { index, module in
                    [
                        "idx": .integer(index), "name": .string("\(index)"), "path": .string(module.0),
                        "type": .string(package + module.1),
                    ]
                }), "modules.json")
        try write(
            [
                "word_embedding_dimension": .integer(weight.shape[1]), "pooling_mode_cls_token": .bool(row == .first),
                "pooling_mode_mean_tokens": .bool(row == .mean), "pooling_mode_max_tokens": false,
                "pooling_mode_mean_sqrt_len_tokens": false,
            ], "1_Pooling/config.json")
        try write(
            [
                "in_features": .integer(weight.shape[1]), "out_features": .integer(weight.shape[0]),
                "bias": .bool(weights.count > 1), "activation_function": "torch.nn.modules.linear.Identity",
            ], "2_Dense/config.json")
        if let limit {
            try write(["max_seq_length": .integer(limit), "do_lower_case": false], "sentence_bert_config.json")
        }
        try Safetensors.write(weights, to: directory + "/2_Dense/model.safetensors")
    }
}
