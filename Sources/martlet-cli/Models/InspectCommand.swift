import ArgumentParser
import Martlet
import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

#if canImport(FoundationEssentials)
    import class FoundationEssentials.JSONEncoder
#else
    import class Foundation.JSONEncoder
#endif

/// `martlet inspect`: what is in a checkpoint.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show tensors, types, metadata and the architecture of a checkpoint.",
        discussion: "Example: martlet inspect path/to/model.gguf")

    @OptionGroup var place: ModelPlace

    @OptionGroup var form: ResultForm

    func run() throws {
        guard let path = place.path else {
            throw ValidationError("Name a model: martlet inspect path/to/model, or a single file of weights.")
        }
        let contents = try Contents(path: InspectCommand.place(path))
        if form.isJSON { form.write(contents.json) } else { Output.write(contents.text) }
    }

    /// A file of weights is looked at by itself; any other file in a model's folder means the folder.
    private static func place(_ path: String) throws -> String {
        let isWeights = [".safetensors", ".index.json"].contains { path.hasSuffix($0) }
        return isWeights && fileExists(path) ? path : try ModelLocation.path(of: path)
    }
}

/// The contents of a checkpoint, whether or not this package can run it.
private struct Contents {
    let tensors: StoredTensors
    let metadata: [(key: String, value: JSON)]
    let modelType: String?
    let architecture: Architecture?
    /// The reason why there is no architecture, where a model could be expected.
    let obstacle: String?
    /// Remarks on what nobody reads of the files, and what is repacked.
    let remarks: [String]

    init(path: String) throws {
        if ModelFile.isGGUF(path) {
            let file = try GGUF(contentsOf: path)
            (tensors, metadata) = (file.tensors, file.metadata.entries.map { ($0.key, Contents.short($0.value)) })
        } else if Folder.isFile(path) {
            let file = try Safetensors(weights: path)
            tensors = file.tensors
            metadata = file.metadata.map { ($0.key, .string($0.value)) }
            (modelType, architecture, obstacle, remarks) = (nil, nil, nil, [])
            return
        } else {
            let file = try Safetensors(directory: path)
            (tensors, metadata) = (file.tensors, file.metadata.map { ($0.key, .string($0.value)) })
        }
        do {
            let model = try ModelFile(path: path)
            (modelType, architecture, obstacle) = (model.modelType, model.architecture, nil)
            remarks = (try? model.remarks().lines) ?? []
        } catch {
            (modelType, architecture, obstacle, remarks) = (nil, nil, "\(error)", [])
        }
    }

    /// The architecture's own fields, layer by layer.
    private static func data(_ architecture: Architecture) -> JSON? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(architecture)).flatMap { try? JSON(parsing: Array($0)) }
    }

    /// Vocabularies are not printed.
    private static func short(_ value: GGUFValue) -> JSON {
        guard let array = value.arrayValue, array.count > 16 else { return value.json }
        return .string("\(array.count) values of \(array.kind)")
    }

    var json: JSON {
        var document = JSONObject()
        document["model_type"] = modelType.map { .string($0) } ?? .null
        document["architecture"] = architecture.flatMap(Contents.data) ?? .null
        document["description"] =
            architecture.map { .array($0.summary.split(separator: "\n").map { .string(String($0)) }) } ?? .null
        document["obstacle"] = obstacle.map { .string($0) } ?? .null
        document["remarks"] = .array(remarks.map { .string($0) })
        document["parameters"] = .integer(tensors.all.reduce(0) { $0 + $1.elements })
        document["bytes"] = .integer(tensors.bytes)
        var entries = JSONObject()
        for (key, value) in metadata { entries[key] = value }
        document["metadata"] = .object(entries)
        document["tensors"] = .array(
            tensors.all.map { tensor in
                [
                    "name": .string(tensor.name), "type": .string(tensor.type.name),
                    "shape": .array(tensor.extents.map { .integer($0) }), "bytes": .integer(tensor.bytes),
                ]
            })
        return .object(document)
    }

    var text: String {
        var lines: [String] = []
        if let modelType, let architecture {
            lines += [Output.visible("model type \(modelType)"), architecture.summary, ""]
        }
        if !remarks.isEmpty { lines += remarks.map { Output.visible($0) } + [""] }
        if let obstacle { lines += [Output.visible("not runnable here: \(obstacle)"), ""] }
        for (key, value) in metadata { lines.append(Output.visible("\(key) = \(value.text())")) }
        if !metadata.isEmpty { lines.append("") }
        for tensor in tensors.all {
            let shape = "[\(tensor.extents.map(String.init).joined(separator: ", "))]"
            lines.append("\(Output.visible(tensor.name))  \(tensor.type.name)  \(shape)  \(tensor.bytes) bytes")
        }
        let elements = tensors.all.reduce(0) { $0 + $1.elements }
        lines.append("\(tensors.count) tensors, \(elements) elements, \(tensors.bytes) bytes")
        return lines.joined(separator: "\n") + "\n"
    }
}
