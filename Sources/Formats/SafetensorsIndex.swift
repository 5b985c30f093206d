internal import MartletJSON

extension Safetensors {
    private static let indexProblem = "not a valid safetensors index"
    private static let indexRemedy = "All files of a checkpoint must be of one version: fetch them again"

    /// Opens the files of an index `{"metadata": {…}, "weight_map": {"tensor": "file", …}}`.
    ///
    /// Every tensor must be in the file that the index names, and every tensor of those files in the index.
    /// `metadata.total_size` is not compared: checkpoints in the wild have it wrong.
    init(index path: String, _ access: FileAccess) throws(FormatError) {
        let places = try Safetensors.places(path)
        let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
        let files = try Safetensors.openAll(Safetensors.unique(places.map(\.file)), in: folder, index: path, access)

        var offences = Offences()
        var all: [StoredTensor] = []
        for (name, file) in places {
            if let tensor = files[ExactKey(file)]?.tensors[name] {
                all.append(tensor)
            } else {
                offences.add("tensor \(name.quoted) is not in \(file)")
            }
        }
        let indexed = Dictionary(uniqueKeysWithValues: places.map { (ExactKey($0.name), ExactKey($0.file)) })
        for file in Safetensors.unique(places.map(\.file)) {
            for name in files[ExactKey(file)]?.tensors.names ?? [] where indexed[ExactKey(name)] != ExactKey(file) {
                offences.add("\(file) holds tensor \(name.quoted), which the index does not place there")
            }
        }
        try offences.check(path, Safetensors.indexProblem, remedy: Safetensors.indexRemedy)
        let mapped = files.values.flatMap(\.tensors.files)
        self.init(
            path: path, tensors: try StoredTensors(unique: all, path: path, files: mapped),
            metadata: places.first.flatMap { files[ExactKey($0.file)]?.metadata } ?? [])
    }

    /// The `weight_map`: which file, a plain name beside the index, holds each tensor.
    private static func places(_ path: String) throws(FormatError) -> [(name: String, file: String)] {
        let index: JSON
        do {
            index = try JSON(contentsOf: path)
        } catch {
            throw FormatError(path: path, problem: indexProblem, offences: [error.reason])
        }
        var offences = Offences()
        var places: [(name: String, file: String)] = []
        if let map = index["weight_map"]?.objectValue {
            for (name, value) in map.members {
                guard let file = value.stringValue else {
                    offences.add("weight_map has for \(name.quoted) \(value.kind) instead of a file name")
                    continue
                }
                if isPlainName(file) {
                    places.append((name, file))
                } else {
                    offences.add("weight_map places \(name.quoted) in \(file.quoted), which is no plain file name")
                }
            }
        } else {
            offences.add("it has no object \"weight_map\"")
        }
        try offences.check(path, indexProblem)
        return places
    }

    /// A name that cannot lead out of the folder.
    private static func isPlainName(_ file: String) -> Bool {
        !file.isEmpty && file != "." && file != ".." && !file.utf8.contains { $0 == UInt8(ascii: "/") || $0 < 0x20 }
    }

    private static func openAll(
        _ names: [String], in folder: String, index path: String, _ access: FileAccess
    ) throws(FormatError) -> [ExactKey: Safetensors] {
        var offences = Offences()
        var files: [ExactKey: Safetensors] = [:]
        for name in names {
            do {
                files[ExactKey(name)] = try Safetensors(file: folder + name, access)
            } catch {
                offences.add(error.description)
            }
        }
        try offences.check(path, "cannot open all files of the index", remedy: indexRemedy)
        return files
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<ExactKey> = []
        return names.filter { seen.insert(ExactKey($0)).inserted }
    }
}
