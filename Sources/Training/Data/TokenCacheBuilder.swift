import MartletFormats
package import MartletTensors
package import MartletTokenizers
import Synchronization

/// Turns files of text into token caches, one per side, on several threads; a cache whose content and tokenizer are known is used again.
package struct TokenCacheBuilder: Sendable {
    package let tokenizer: Tokenizer
    /// What stands for the tokenizer in a cache's name.
    package let tokenizerKey: Fingerprint
    /// Tokens before and after each document.
    package let beginning: [Int32]
    package let end: [Int32]
    package let folder: String
    package let device: Device
    /// Called with bytes read so far while text is being tokenized.
    package let progress: @Sendable (_ bytes: Int) -> Void

    private static let batchBytes = 4 << 20

    package init(
        _ tokenizer: Tokenizer, key: Fingerprint, beginning: [Int32] = [], end: [Int32] = [], folder: String,
        on device: Device, progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        (self.tokenizer, tokenizerKey, self.beginning, self.end) = (tokenizer, key, beginning, end)
        (self.folder, self.device, self.progress) = (folder, device, progress)
    }

    /// The caches of `files`, one per side, read or made.
    ///
    /// - Throws: ``DataError``, ``FileError``, ``TokenizerError``.
    package func caches(_ files: TextFiles) throws -> [TokenCache] {
        let name = try key(files).description
        let paths = (0..<files.sides).map { "\(folder)/\(name)-\($0).tokens" }
        let known = paths.compactMap { try? TokenCache($0) }
        if known.count == paths.count { return known }
        try Folder.make(folder)
        let writers = try paths.map { try TokenCacheWriter($0, vocabulary: tokenizer.vocabularySize) }
        try fill(writers, files)
        for writer in writers { try writer.finish() }
        return try paths.map { try TokenCache($0) }
    }

    private func key(_ files: TextFiles) throws(FileError) -> Fingerprint {
        var key = tokenizerKey
        key.add("1 \(beginning) \(end) " + files.format.key)
        for path in files.paths { try key.add(file: path) }
        for path in files.parallelPaths { try key.add(file: path) }
        return key
    }

    private func fill(_ writers: [TokenCacheWriter], _ files: TextFiles) throws {
        var isInside = [Bool](repeating: false, count: writers.count)
        var bytes = 0
        for index in files.paths.indices {
            var reader =
                try files.parallelPaths.isEmpty
                ? DocumentReader(files.paths[index], files.format)
                : DocumentReader(files.paths[index], parallelTo: files.parallelPaths[index])
            while let parts = try TokenCacheBuilder.batch(&reader) {
                for (part, tokens) in zip(parts, try tokens(of: parts)) {
                    let writer = writers[part.side]
                    if !isInside[part.side] { try writer.append(beginning) }
                    try writer.append(part.endsDocument ? tokens + end : tokens)
                    if part.endsDocument { try writer.endDocument() }
                    isInside[part.side] = !part.endsDocument
                    bytes += part.bytes.count
                }
                progress(bytes)
            }
        }
    }

    private static func batch(_ reader: inout DocumentReader) throws -> [DocumentReader.Part]? {
        var parts: [DocumentReader.Part] = []
        var bytes = 0
        while bytes < batchBytes, let more = try reader.next() {
            parts += more
            bytes += more.reduce(64) { $0 + $1.bytes.count }
        }
        return parts.isEmpty ? nil : parts
    }

    /// The tokens of each part. Which thread makes them is left to chance, what they are is not.
    private func tokens(of parts: [DocumentReader.Part]) throws -> [[Int32]] {
        let results = Results(parts.count)
        let tokenizer = tokenizer
        device.parallel(parts.count, cost: 1 << 14) { range in
            for index in range {
                let tokens = Result { () throws(TokenizerError) in
                    try tokenizer.encode(bytes: parts[index].bytes, addSpecialTokens: false, parseSpecialTokens: false)
                }
                results[index] = tokens
            }
        }
        return try results.tokens()
    }
}

/// The files of one source of text.
package struct TextFiles: Sendable, Hashable {
    package let paths: [String]
    /// Where the second side of each file's lines stands, for texts in pairs of files.
    package let parallelPaths: [String]
    package let format: TextFormat

    package init(_ paths: [String], parallelTo others: [String] = [], _ format: TextFormat) {
        precondition(others.isEmpty || others.count == paths.count, "TextFiles: \(paths.count) and \(others.count)")
        (self.paths, parallelPaths, self.format) = (paths, others, format)
    }

    package var sides: Int { parallelPaths.isEmpty ? format.sides : 2 }
}

/// What several threads make of several texts.
private final class Results: Sendable {
    private let values: Mutex<[Result<[Int32], TokenizerError>]>

    init(_ count: Int) { values = Mutex(Array(repeating: .success([]), count: count)) }

    subscript(index: Int) -> Result<[Int32], TokenizerError> {
        get { values.withLock { $0[index] } }
        set { values.withLock { $0[index] = newValue } }
    }

    func tokens() throws(TokenizerError) -> [[Int32]] {
        try values.withLock { $0 }.map { result throws(TokenizerError) in try result.get() }
    }
}
