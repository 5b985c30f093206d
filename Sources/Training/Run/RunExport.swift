import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
package import MartletTensors

/// Brings the weights of a run into a Hugging Face directory, `RUN/model`: what transformers, `martlet generate` and `martlet convert` read.
package struct RunExport: Sendable {
    private let preparation: RunPreparation
    private let device: Device
    private static let files = ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"]

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
        let modelType = preparation.config["model_type"]?.stringValue ?? ""
        let inventory = try preparation.architecture.inventory()
        let values = Dictionary(weights.map { ($0.name, $0.tensor) }) { first, _ in first }
        let source = WeightSource(inventory, values: values)
        let export = try ModelExport(modelType: modelType, preparation.architecture, source, on: device)
        let type = try export.writeSafetensors(in: aside)
        var config = preparation.config
        config["torch_dtype"] = .string(type)
        if config["architectures"] == nil, let name = ModelFile.className(modelType) {
            config["architectures"] = [.string(name)]
        }
        try writeFile(JSON.object(config).serialized(.pretty(indent: 2)), to: aside + "/config.json")
        try writeFile(preparation.tokenizerJSON.serialized(), to: aside + "/tokenizer.json")
        try writeTokenizerConfig(to: aside)
        if case .config = preparation.recipe.model, let generation = ModelFile.generationConfig(config) {
            try writeFile(JSON.object(generation).serialized(.pretty(indent: 2)), to: aside + "/generation_config.json")
        }
        Folder.remove(folder + ".old")
        if Folder.exists(folder) { try Folder.rename(folder, to: folder + ".old") }
        try Folder.rename(aside, to: folder)
        Folder.remove(folder + ".old")
    }

    /// The files beside a tokenizer that a model directory brought along, or one that names the roles of the recipe's tokens.
    private func writeTokenizerConfig(to folder: String) throws {
        if case .directory(let origin) = preparation.recipe.model {
            for name in RunExport.files where Folder.exists("\(origin)/\(name)") {
                try writeFile(Storage(mapping: "\(origin)/\(name)").contents, to: "\(folder)/\(name)")
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
