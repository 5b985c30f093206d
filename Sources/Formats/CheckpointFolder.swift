internal import MartletJSON
internal import MartletPlatform

/// The files of a folder that hold a model's weights.
struct CheckpointFolder {
    private let path: String
    private let names: [String]

    init(_ path: String) { (self.path, names) = (path, Folder.names(in: path)) }

    private func has(_ name: String) -> Bool { names.contains(name) }

    /// Opens safetensors before PyTorch's files, and one file before several.
    ///
    /// - Throws: ``FormatError`` that names the weights of another kind, where there are only such.
    func open(_ access: FileAccess) throws(FormatError) -> Safetensors {
        if has("model.safetensors") { return try Safetensors(contentsOf: path + "/model.safetensors", access) }
        if has("model.safetensors.index.json") {
            return try Safetensors(index: path + "/model.safetensors.index.json", access)
        }
        if has("pytorch_model.bin") { return try pytorch(["pytorch_model.bin"], access) }
        if has("pytorch_model.bin.index.json") { return try pytorch(indexed("pytorch_model.bin.index.json"), access) }
        throw FormatError(path: path, problem: "no weights", offences: [offence], remedy: remedy)
    }

    private func pytorch(_ files: [String], _ access: FileAccess) throws(FormatError) -> Safetensors {
        var (all, mapped): ([StoredTensor], [MappedFile]) = ([], [])
        var seen: Set<ExactKey> = []
        for name in files {
            let tensors = try PyTorchFile(contentsOf: path + "/" + name, access).tensors
            all += tensors.all.filter { seen.insert(ExactKey($0.name)).inserted }
            mapped += tensors.files
        }
        let place = files.count == 1 ? path + "/" + files[0] : path
        return Safetensors(
            path: place, tensors: try StoredTensors(unique: all, path: place, files: mapped), metadata: [])
    }

    /// The files that an index names, each once.
    private func indexed(_ name: String) throws(FormatError) -> [String] {
        var files: [String] = []
        do {
            let map = try JSON(contentsOf: path + "/" + name, as: .python)["weight_map"]?.objectValue
            for (_, file) in map?.members ?? [] {
                if let file = file.stringValue, !files.contains(file) { files.append(file) }
            }
        } catch {
            throw FormatError(path: path + "/" + name, problem: "not a valid index", offences: [error.reason])
        }
        let missing = files.filter { !has($0) }
        guard !files.isEmpty, missing.isEmpty else {
            throw FormatError(
                path: path + "/" + name, problem: "cannot open all files of the index",
                offences: files.isEmpty ? ["it names no file"] : missing.map { "\($0) is not there" },
                remedy: "Fetch the files that are missing")
        }
        return files
    }

    /// The offence of a folder without weights that can be read: what it has instead.
    private var offence: String {
        func first(_ endings: String...) -> String? {
            names.first { name in endings.contains { name.utf8.count > $0.utf8.count && name.hasSuffix($0) } }
        }
        if let name = first("adapter_model.safetensors", "adapter_model.bin")
            ?? names.first(where: { $0 == "adapter_config.json" })
        {
            return "it holds an adapter (\(name)), not a model"
        }
        if let name = first(".h5", ".ckpt.index", ".ckpt.meta", ".ckpt") {
            return "its weights are TensorFlow's (\(name))"
        }
        if let name = first(".msgpack") { return "its weights are Flax's (\(name))" }
        if let name = first(".onnx") { return "its weights are ONNX's (\(name))" }
        if let name = first(".gguf") { return "it holds \(name), which is opened by its own name" }
        if let name = first(".incomplete", ".part", ".aria2", ".crdownload", ".download") {
            return "the download of \(name) has not ended"
        }
        if let name = first(".safetensors") { return "it holds \(name), but neither model.safetensors nor an index" }
        return "there is neither model.safetensors nor model.safetensors.index.json nor pytorch_model.bin"
    }

    private var remedy: String {
        names.contains { $0.hasSuffix(".gguf") }
            ? "Name the file itself" : "Take a repository that has safetensors, or convert it to them with transformers"
    }
}
