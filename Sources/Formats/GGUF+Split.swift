internal import MartletJSON
internal import MartletPlatform

/// Models in several files, `NAME-00001-of-00003.gguf` and so on, as llama.cpp's `gguf-split` writes them: the first
/// has the metadata.
extension GGUF {
    private static let splitProblem = "not a whole model in several files"

    /// This file with the tensors of all parts, when it is a part of a model; itself otherwise.
    ///
    /// - Throws: ``FormatError`` for parts that are missing, or belong to another model.
    func joined(_ access: FileAccess) throws(FormatError) -> GGUF {
        guard let count = try metadata.integer("split.count"), count > 1 else { return self }
        let names = try parts(count)
        var (all, files): ([StoredTensor], [MappedFile]) = ([], [])
        var (offences, seen): (Offences, Set<ExactKey>) = (Offences(), [])
        var first = self
        for index in names.indices {
            let name = names[index]
            let part = try GGUF(part: name, access)
            let (number, whole) = (try part.metadata.integer("split.no"), try part.metadata.integer("split.count"))
            if number != index || whole != count {
                offences.add("\(name) does not call itself part \(index + 1) of \(count)")
            }
            for tensor in part.tensors.all where !seen.insert(ExactKey(tensor.name)).inserted {
                offences.add("tensor \(tensor.name.quoted) is in two parts")
            }
            if index == 0 { first = part }
            all += part.tensors.all
            files += part.tensors.files
        }
        if let wanted = try first.metadata.integer("split.tensors.count"), wanted != all.count {
            offences.add("the parts hold \(all.count) tensors, and the first speaks of \(wanted)")
        }
        try offences.check(path, GGUF.splitProblem, remedy: "Fetch all parts of one model into one folder")
        return GGUF(
            path: path, version: first.version, alignment: first.alignment, metadata: first.metadata,
            tensors: try StoredTensors(unique: all, path: path, files: files))
    }

    /// The names of all parts, by the name of this one.
    private func parts(_ count: Int) throws(FormatError) -> [String] {
        func padded(_ number: Int) -> String {
            let digits = "\(number)"
            return String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
        }
        // -00001-of-00003.gguf
        let ending = "-of-\(padded(count)).gguf"
        guard count < 100_000, path.utf8.count > ending.utf8.count + 6, path.hasSuffix(ending) else {
            throw FormatError(
                path: path, problem: GGUF.splitProblem,
                offences: ["it is one of \(count) parts, but its name does not end in \(ending.quoted)"],
                remedy: "Give the parts their own names again")
        }
        let stem = path.dropLast(ending.utf8.count + 6)
        let names = (1...count).map { "\(stem)-\(padded($0))\(ending)" }
        let missing = names.filter { !fileExists($0) }
        guard missing.isEmpty else {
            throw FormatError(
                path: path, problem: GGUF.splitProblem, offences: missing.map { "\($0) is not there" },
                remedy: "Fetch all parts into one folder")
        }
        return names
    }
}
