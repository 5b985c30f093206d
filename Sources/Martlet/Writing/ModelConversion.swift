import MartletFormats
import MartletJSON
import MartletLayers
public import MartletModels
import MartletPlatform
import MartletTasks
package import MartletTensors

/// The options of a conversion: what it writes, and how.
public struct ConversionOptions: Sendable, Hashable {
    /// The element type of the weights.
    public enum WeightType: String, Sendable, Hashable, CaseIterable {
        case f32, f16, bf16

        /// The tensors' type that this is.
        package var elementType: ElementType {
            switch self {
            case .f32: .f32
            case .f16: .f16
            case .bf16: .bf16
            }
        }
    }

    /// The type of the weights; nil leaves each as it is.
    public var type: WeightType?
    /// True where the tokenizer goes along.
    public var includesTokenizer: Bool

    /// Options for a conversion; the defaults keep the types of the weights and take the tokenizer along.
    public init(type: WeightType? = nil, includesTokenizer: Bool = true) {
        (self.type, self.includesTokenizer) = (type, includesTokenizer)
    }
}

/// A model that was written.
public struct WrittenModel: Sendable, Hashable {
    /// The file or directory that was written.
    public let path: String
    /// The `model_type` of config.json.
    public let modelType: String
    /// The number of parameters.
    public let parameters: Int
    /// The caveats of the format, what it has no words for, one sentence each.
    public let caveats: [String]
}

extension ModelFile {
    /// Writes the model at `output`: as a GGUF file where the name ends in `.gguf`, else as a Hugging Face directory.
    ///
    /// - Throws: ``ModelError``, ``FormatError``, ``FileError``: every cause in one line.
    @discardableResult
    public func convert(
        to output: String, _ options: ConversionOptions = ConversionOptions(), threads: Int? = nil
    ) throws -> WrittenModel {
        try write(ModelExport(self, on: Device(threads: threads)), to: output, named: path, options)
    }

    /// Writes the weights of `export`, which are of this model, with this file's settings and tokenizer.
    ///
    /// - Parameter name: where the model comes from; its last part is what a GGUF calls it.
    package func write(
        _ export: ModelExport, to output: String, named name: String, _ options: ConversionOptions
    ) throws -> WrittenModel {
        try checkMemory(export, output)
        var caveats: [String] = []
        if ModelFile.isNamedGGUF(output) {
            caveats = try writeGGUF(
                export, to: output, named: name, type: options.type?.elementType,
                includesTokenizer: options.includesTokenizer)
        } else {
            try writeDirectory(export, to: output, options)
        }
        return WrittenModel(
            path: output, modelType: modelType, parameters: export.weights.inventory.total, caveats: caveats)
    }

    /// - Throws: ``ModelError`` where the largest tensor, once as numbers and once as it is written, takes more memory
    ///   than there is.
    private func checkMemory(_ export: ModelExport, _ output: String) throws(ModelError) {
        let (available, limit) = SystemMemory.available
        let most = export.weights.inventory.entries.reduce(0) { max($0, $1.shape.elements) } * 8
        guard available > 0, most > available else { return }
        throw ModelError(
            "\(output): writing its largest tensor takes \(most / 1_000_000) MB, but \(limit.rawValue) leaves \(available / 1_000_000) MB; raise the limit"
        )
    }

    /// Writes the weights of `export` as a GGUF file, with this file's tokenizer.
    ///
    /// - Parameter type: of the matrices; nil for the types they have.
    /// - Returns: what the format has no words for, one sentence each.
    package func writeGGUF(
        _ export: ModelExport, to output: String, named name: String, type: ElementType?,
        includesTokenizer: Bool = true
    ) throws -> [String] {
        // Whether the format has words for the model comes before its tokenizer, which can be left out.
        try export.checkHasName()
        var caveats = export.caveats
        let text =
            try includesTokenizer
            ? TokenizerConversion.metadata(of: self, caveats: &caveats) : TokenizerConversion.settings(of: self)
        let name = name.split(separator: "/").last.map(String.init) ?? name
        try export.writeGGUF(to: output, name: name, text: text, type: type)
        return caveats
    }

    private func writeDirectory(_ export: ModelExport, to output: String, _ options: ConversionOptions) throws {
        let folder = try AtomicFolder(output)
        let output = folder.aside
        var isConverted = options.type != nil
        switch container {
        case .directory(let path):
            if options.includesTokenizer { try TokenizerConversion.copyFiles(from: path, to: output) }
        case .gguf(let gguf):
            isConverted = true
            if options.includesTokenizer { try TokenizerConversion.write(gguf, to: output) }
        }
        let config = try publishedConfig(dataType: nil)
        let dataType = try export.writeSafetensors(in: output, type: options.type?.elementType)
        // A configuration whose weights stay as they were stays as it was.
        let written = isConverted ? try publishedConfig(dataType: dataType) : config
        try writeFile(JSON.object(written).serialized(.pretty(indent: 2)), to: output + "/config.json")
        if isConverted, architecture.writes, !fileExists(output + "/generation_config.json"),
            let generation = ModelFile.generationConfig(written)
        {
            try writeFile(
                JSON.object(generation).serialized(.pretty(indent: 2)), to: output + "/generation_config.json")
        }
        try folder.commit()
    }
}

extension TokenizerConversion {
    /// A model's tokenizer in the keys of a GGUF, and ``settings(of:)``; empty when its files say nothing of text.
    ///
    /// - Parameter caveats: gains a sentence where the tokenizer is left out.
    package static func metadata(of file: ModelFile, caveats: inout [String]) throws -> GGUFMetadata {
        var metadata: GGUFMetadata =
            switch file.container {
            case .gguf(let gguf): self.metadata(of: gguf)
            case .directory(let path):
                try self.metadata(ofDirectory: path, vocabulary: file.architecture.vocabulary, caveats: &caveats)
            }
        for (key, value) in try settings(of: file).entries { metadata[key] = value }
        return metadata
    }

    /// The metadata of a model's files beside its tokenizer, in the keys of a GGUF: how rows become one vector, what
    /// the decoder of an encoder-decoder reads first.
    static func settings(of file: ModelFile) throws -> GGUFMetadata {
        var metadata: GGUFMetadata = [:]
        switch file.container {
        case .gguf(let gguf):
            for (key, value) in gguf.metadata.entries
            where [".pooling_type", ".classifier.output_labels", ".decoder_start_token_id"].contains(
                where: key.hasSuffix)
            {
                metadata[key] = value
            }
        case .directory(let path):
            guard let name = file.ggufArchitecture else { break }
            metadata[name + ".pooling_type"] = try pooling(path)
            if case .sequence(_, let count, _) = file.architecture.head {
                let labels = try file.config()["id2label"]?.objectValue
                metadata[name + ".classifier.output_labels"] = .array(
                    GGUFArray((0..<count).map { labels?["\($0)"]?.stringValue ?? "LABEL_\($0)" }))
            }
            if case .encoderDecoder = file.architecture.body {
                let start = try WriterSettings(directory: path, config: file.config(), task: nil).startToken
                metadata[name + ".decoder_start_token_id"] = .uint32(UInt32(clamping: start))
            }
        }
        return metadata
    }

    /// The number of the pooling of a sentence encoder; nil for other models, and where the format has no number for
    /// it.
    private static func pooling(_ directory: String) throws -> GGUFValue? {
        guard fileExists(directory + "/modules.json") else { return nil }
        let modules = try SentenceModules(directory: directory)
        let isPlain = modules.steps.allSatisfy { if case .normalize = $0 { true } else { false } }
        return isPlain ? modules.numberOfPooling.map { .uint32($0) } : nil
    }
}
