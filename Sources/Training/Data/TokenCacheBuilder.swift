package import MartletFormats
import MartletPlatform
package import MartletTensors
package import MartletTokenizers
import Synchronization

/// A builder that turns files of text into token caches, one per side, on several threads; a cache whose content and
/// tokenizer are known is used again.
package struct TokenCacheBuilder: Sendable {
    package let tokenizer: Tokenizer
    /// The key of the tokenizer in a cache's name.
    package let tokenizerKey: Fingerprint
    /// Tokens before and after each document.
    package let beginning: [Int32]
    package let end: [Int32]
    package let folder: String
    package let device: Device
    /// The progress callback, called with bytes read so far while text is being tokenized.
    package let progress: @Sendable (_ bytes: Int) -> Void

    private static let batchBytes = 4 << 20

    /// Subword regularisation: other segmentations of the same text in every epoch (arXiv:1910.13267,
    /// arXiv:1804.10959).
    package struct Sampling: Sendable {
        /// Byte pair encoding: the probability that a merge is left out. Unigram: how sharply likely segmentations are
        /// preferred.
        package var share: Double
        package var seed: UInt64
        package var epoch: Int

        package init(share: Double, seed: UInt64, epoch: Int) {
            (self.share, self.seed, self.epoch) = (share, seed, epoch)
        }

        fileprivate var key: String { "subwords \(share) \(seed) \(epoch)" }

        /// The source of chance for part `number` of the text.
        fileprivate func source(_ number: Int) -> SubwordSampling {
            let mixed = Fingerprint.mixed(seed ^ Fingerprint.mixed(UInt64(epoch) << 40 ^ UInt64(number)))
            return SubwordSampling(seed: mixed, dropout: share, smoothing: share)
        }
    }

    package init(
        _ tokenizer: Tokenizer, key: Fingerprint, beginning: [Int32] = [], end: [Int32] = [], folder: String,
        on device: Device, progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        (self.tokenizer, tokenizerKey, self.beginning, self.end) = (tokenizer, key, beginning, end)
        (self.folder, self.device, self.progress) = (folder, device, progress)
    }

    /// The caches of `files`, one per side, read or made.
    ///
    /// - Parameter sampling: the epoch's segmentations in place of the tokenizer's own; caches of the epoch before are
    ///   removed.
    /// - Throws: ``DataError``, ``FileError``, ``TokenizerError``.
    package func caches(_ files: TextFiles, _ sampling: Sampling? = nil) throws -> [TokenCache] {
        let key = try key(files)
        defer {
            if var before = sampling, before.epoch > 0 {
                before.epoch -= 1
                for path in paths(key, files, before) { Folder.remove(path) }
            }
        }
        let paths = paths(key, files, sampling)
        let known = paths.compactMap { try? TokenCache($0) }
        if known.count == paths.count { return known }
        try Folder.make(folder)
        let writers = try paths.map { try TokenCacheWriter($0, vocabulary: tokenizer.vocabularySize) }
        try fill(writers, files, sampling)
        for writer in writers { try writer.finish() }
        return try paths.map { try TokenCache($0) }
    }

    private func paths(_ key: Fingerprint, _ files: TextFiles, _ sampling: Sampling?) -> [String] {
        var key = key
        if let sampling { key.add(sampling.key) }
        return (0..<files.sides).map { "\(folder)/\(key)-\($0).tokens" }
    }

    private func key(_ files: TextFiles) throws(FileError) -> Fingerprint {
        var key = tokenizerKey
        key.add("1 \(beginning) \(end) " + files.format.key)
        for path in files.paths { try key.add(file: path) }
        for path in files.parallelPaths { try key.add(file: path) }
        return key
    }

    private func fill(_ writers: [TokenCacheWriter], _ files: TextFiles, _ sampling: Sampling?) throws {
        var isInside = [Bool](repeating: false, count: writers.count)
        var (bytes, partsBefore) = (0, 0)
        for index in files.paths.indices {
            var reader =
                try files.parallelPaths.isEmpty
                ? DocumentReader(files.paths[index], files.format)
                : DocumentReader(files.paths[index], parallelTo: files.parallelPaths[index])
            while let parts = try TokenCacheBuilder.batch(&reader) {
                for (part, tokens) in zip(parts, try tokens(of: parts, sampling, from: partsBefore)) {
                    let writer = writers[part.side]
                    if !isInside[part.side] { try writer.append(beginning) }
                    try writer.append(part.endsDocument ? tokens + end : tokens)
                    if part.endsDocument { try writer.endDocument() }
                    isInside[part.side] = !part.endsDocument
                    bytes += part.bytes.count
                }
                partsBefore += parts.count
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
    private func tokens(of parts: [DocumentReader.Part], _ sampling: Sampling?, from first: Int) throws -> [[Int32]] {
        let results = Results(parts.count)
        let tokenizer = tokenizer
        device.parallel(parts.count, cost: 1 << 14) { range in
            for index in range {
                results[index] = Result { () throws(TokenizerError) in
                    guard var source = sampling?.source(first + index) else {
                        return try tokenizer.encode(
                            bytes: parts[index].bytes, addSpecialTokens: false, parseSpecialTokens: false)
                    }
                    return try tokenizer.encode(
                        String(decoding: parts[index].bytes, as: UTF8.self), sampling: &source, addSpecialTokens: false,
                        parseSpecialTokens: false)
                }
            }
        }
        return try results.tokens()
    }
}

/// The files of one source of text.
package struct TextFiles: Sendable, Hashable {
    package let paths: [String]
    /// The paths of the second side of each file's lines, for texts in pairs of files.
    package let parallelPaths: [String]
    package let format: TextFormat

    package init(_ paths: [String], parallelTo others: [String] = [], _ format: TextFormat) {
        precondition(others.isEmpty || others.count == paths.count, "TextFiles: \(paths.count) and \(others.count)")
        (self.paths, parallelPaths, self.format) = (paths, others, format)
    }

    package var sides: Int { parallelPaths.isEmpty ? format.sides : 2 }
}

/// The results of several threads for several texts.
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
