import MartletJSON

/// A file of a model on the hub: its path, and what its bytes must be.
struct HubFile: Sendable, Hashable {
    let path: String
    let bytes: Int
    /// The digest that names its blob in the cache: SHA-256 of large files, what git computes of small ones.
    let digest: String

    var kind: Digest.Kind { digest.utf8.count == 64 ? .sha256 : .sha1 }
}

/// A revision of a model on the hub: its commit and its files.
struct HubRevision {
    let commit: String
    let files: [HubFile]

    /// - Throws: ``HubError`` for an answer that names no commit, or files that could not be kept.
    init(_ json: JSON, of name: HubName) throws(HubError) {
        guard let commit = json["sha"]?.stringValue, HubRevision.isDigest(commit) else {
            throw HubError("\(name): the hub's answer names no commit")
        }
        var files: [HubFile] = []
        for entry in json["siblings"]?.arrayValue ?? [] {
            let large = entry["lfs"]
            guard let path = entry["rfilename"]?.stringValue,
                let bytes = (large?["size"] ?? entry["size"])?.integerValue, bytes >= 0,
                let digest = (large?["sha256"] ?? large?["oid"] ?? entry["blobId"])?.stringValue
            else { continue }
            guard HubRevision.isPlain(path), HubRevision.isDigest(digest) else {
                throw HubError("\(name): the hub names a file that cannot be kept: \"\(path.prefix(80))\"")
            }
            files.append(HubFile(path: path, bytes: bytes, digest: digest))
        }
        guard !files.isEmpty else { throw HubError("\(name): the hub lists no files with their sizes and digests") }
        (self.commit, self.files) = (commit, files)
    }

    private static func isDigest(_ text: String) -> Bool {
        [40, 64].contains(text.utf8.count)
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// Returns whether a path stays below the folder that it is put in.
    private static func isPlain(_ path: String) -> Bool {
        path.utf8.count < 512 && path.utf8.allSatisfy { $0 >= 32 && $0 != 127 && $0 != UInt8(ascii: "\\") }
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part != "." && part != ".."
            }
    }

    /// The files that a model needs, and no others: one GGUF with its parts, or the weights in safetensors, else in
    /// PyTorch's form, with everything small beside them.
    ///
    /// - Throws: ``HubError`` naming what there is, where what is asked for is not.
    func needed(_ selection: String?, of name: HubName) throws(HubError) -> [HubFile] {
        if let selection, let exact = files.first(where: { $0.path == selection }) { return parts(of: exact) }
        let packed = files.filter { $0.path.hasSuffix(".gguf") && !HubSelection.isProjector($0.path) }
        if let selection {
            guard let found = quantization(selection, packed) else {
                let known = packed.map(\.path).joined(separator: ", ")
                throw HubError(
                    "\(name): there is no file or quantization \(selection)"
                        + (packed.isEmpty ? ", nor any GGUF" : "; there are \(known)"))
            }
            return parts(of: found)
        }
        let weights = weights
        if !weights.isEmpty { return weights + files.filter(HubRevision.isSmallAndNeeded) }
        guard let found = HubSelection.usual.lazy.compactMap({ quantization($0, packed) }).first
        else {
            guard packed.isEmpty else {
                let known = packed.map(\.path).joined(separator: ", ")
                throw HubError("\(name): name one of its files behind a colon: \(known)")
            }
            throw HubError("\(name): it has no weights in safetensors, PyTorch's form or GGUF")
        }
        return parts(of: found)
    }

    /// The weights of the model itself, not of other formats in folders beside it.
    private var weights: [HubFile] {
        func top(_ file: HubFile) -> Bool { !file.path.contains("/") }
        let safetensors = files.filter { $0.path.hasSuffix(".safetensors") && top($0) }
        // Mistral publishes its weights twice.
        let usual = safetensors.filter { !$0.path.hasPrefix("consolidated") }
        let chosen = usual.isEmpty ? safetensors : usual
        if !chosen.isEmpty { return chosen }
        return files.filter { $0.path.hasPrefix("pytorch_model") && $0.path.hasSuffix(".bin") && top($0) }
    }

    private static let endings = [".json", ".txt", ".model", ".tiktoken", ".jinja", ".spm", ".vocab", ".bpe"]
    private static let otherFormats = ["onnx", "openvino", "coreml", "tflite", "original", "gguf", "runs"]

    /// Settings, vocabularies and templates, and the layers of sentence-transformers in folders of their own.
    private static func isSmallAndNeeded(_ file: HubFile) -> Bool {
        let parts = file.path.split(separator: "/")
        guard parts.count <= 2, file.bytes < 1 << 30 else { return false }
        if parts.count == 2, otherFormats.contains(where: { parts[0].hasPrefix($0) }) { return false }
        if parts.count == 2, file.path.hasSuffix(".safetensors") { return true }
        return endings.contains { file.path.hasSuffix($0) }
    }

    private func quantization(_ word: String, _ files: [HubFile]) -> HubFile? {
        HubSelection.file(word, among: files.map(\.path)).flatMap { path in files.first { $0.path == path } }
    }

    /// All files that a split one consists of: NAME-00001-of-00003.gguf.
    private func parts(of file: HubFile) -> [HubFile] {
        guard let place = file.path.range(ofSplit: "-of-") else { return [file] }
        let (stem, end) = (file.path.utf8.prefix(place - 5), Array(file.path.utf8.dropFirst(place)))
        return files.filter { other in
            other.path.utf8.count == file.path.utf8.count && other.path.utf8.starts(with: stem)
                && Array(other.path.utf8.suffix(end.count)) == end
        }
    }
}

/// The selection among several GGUF files: which of them is meant.
enum HubSelection {
    /// The selections that are tried where nothing is said, the first that there is.
    static let usual = ["Q4_K_M", "Q8_0", "F16", "BF16"]

    /// Returns whether a file holds what looks at pictures, and no model.
    static func isProjector(_ path: String) -> Bool { base(path).hasPrefix("mmproj") }

    private static func base(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }

    /// The first path whose last part holds `word` between signs that belong to no word, however written.
    static func file(_ word: String, among paths: [String]) -> String? {
        let word = Array(word.lowercased().utf8)
        func isPart(_ byte: UInt8?) -> Bool {
            byte.map { (48...57).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "_") } ?? false
        }
        return paths.sorted().first { path in
            let name = Array(base(path).lowercased().utf8)
            guard word.count > 0, word.count <= name.count else { return false }
            return (0...name.count - word.count).contains { start in
                let end = start + word.count
                return name[start..<end].elementsEqual(word) && !isPart(start > 0 ? name[start - 1] : nil)
                    && !isPart(end < name.count ? name[end] : nil)
            }
        }
    }
}

extension String {
    /// The offset of `mark` behind five digits and before five and ".gguf".
    fileprivate func range(ofSplit mark: String) -> Int? {
        let bytes = Array(utf8)
        let place = bytes.count - mark.utf8.count - 10
        guard place > 5, bytes[place...].starts(with: mark.utf8), hasSuffix(".gguf"),
            bytes[place - 5..<place].allSatisfy({ (48...57).contains($0) })
        else { return nil }
        return place
    }
}
