import MartletFormats
import MartletJSON
import MartletPlatform
package import MartletTokenizers

/// A vocabulary that turns a text into the tokens that a model reads, and those that it writes into a text.
package protocol WriterVocabulary: Sendable {
    /// The tokens of a text; those around it only with `addSpecialTokens`.
    func read(_ text: String, addSpecialTokens: Bool) throws -> [Int32]
    /// The tokens of a text that is written, without special tokens.
    func written(_ text: String) throws -> [Int32]
    /// The text of what was written, without special tokens.
    func text(of tokens: [Int32]) throws -> String
    /// The spelling of a token that is read; nil for one that nothing is read as.
    func spelling(ofRead token: Int32) -> String?
    /// The spelling of a token that is written, special ones too.
    func spelling(ofWritten token: Int32) -> String?
    /// The token with this spelling, among those that are read and written.
    func id(ofToken token: String) -> Int32?
}

/// A single vocabulary for what is read and what is written.
extension WriterVocabulary {
    package func written(_ text: String) throws -> [Int32] { try read(text, addSpecialTokens: false) }
    package func spelling(ofRead token: Int32) -> String? { try? text(of: [token]) }
    package func spelling(ofWritten token: Int32) -> String? { spelling(ofRead: token) }
}

extension Tokenizer: WriterVocabulary {
    package func read(_ text: String, addSpecialTokens: Bool) throws -> [Int32] {
        try encode(text, addSpecialTokens: addSpecialTokens)
    }

    package func text(of tokens: [Int32]) throws -> String { try decode(tokens) }

    package func spelling(ofRead token: Int32) -> String? {
        bytes(ofToken: token).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The vocabularies of a CTranslate2 folder: one token a line, or a list in JSON; one for each side, or one for both.
///
/// How a text becomes tokens is not said there. Where every token is a single scalar, texts are read and written scalar
/// by scalar, else word by word, parted by spaces.
package struct WordVocabulary: WriterVocabulary {
    private let sourceIDs, targetIDs: [ExactKey: Int32]
    private let source, target: [String]
    private let isByScalar: Bool
    private let unknown: Int32

    /// - Throws: ``TaskError`` when there is no vocabulary, and what reading throws.
    package init(directory: String) throws {
        source = try WordVocabulary.words("source", in: directory)
        target = try WordVocabulary.words("target", in: directory)
        sourceIDs = WordVocabulary.ids(source)
        targetIDs = WordVocabulary.ids(target)
        // A vocabulary without a word for what it lacks has one behind all others.
        unknown = sourceIDs[ExactKey("<unk>")] ?? Int32(source.count)
        isByScalar = (source + target).allSatisfy { WordVocabulary.isSpecial($0) || $0.unicodeScalars.count == 1 }
    }

    private static func words(_ side: String, in directory: String) throws -> [String] {
        for name in ["\(side)_vocabulary", "shared_vocabulary"] {
            let (list, lines) = ("\(directory)/\(name).json", "\(directory)/\(name).txt")
            if fileExists(list) {
                return try (JSON(contentsOf: list).arrayValue ?? []).compactMap(\.stringValue)
            }
            if fileExists(lines) { return try self.lines(lines) }
        }
        throw TaskError("\(directory): there is no \(side)_vocabulary.txt (or .json), nor shared_vocabulary")
    }

    private static func lines(_ path: String) throws -> [String] {
        let bytes = try fileBytes(path)
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func ids(_ words: [String]) -> [ExactKey: Int32] {
        Dictionary(words.enumerated().map { (ExactKey($1), Int32($0)) }) { first, _ in first }
    }

    private static func isSpecial(_ word: String) -> Bool {
        word.utf8.count > 2 && word.utf8.first == UInt8(ascii: "<") && word.utf8.last == UInt8(ascii: ">")
    }

    package func read(_ text: String, addSpecialTokens: Bool) -> [Int32] {
        words(of: text).map { sourceIDs[ExactKey($0)] ?? unknown }
    }

    package func written(_ text: String) -> [Int32] {
        let unknown = targetIDs[ExactKey("<unk>")] ?? Int32(target.count)
        return words(of: text).map { targetIDs[ExactKey($0)] ?? unknown }
    }

    private func words(of text: String) -> [String] {
        isByScalar
            ? text.unicodeScalars.map { String($0) }
            : text.utf8.split(separator: UInt8(ascii: " ")).map { String(decoding: Array($0), as: UTF8.self) }
    }

    package func spelling(ofRead token: Int32) -> String? {
        source.indices.contains(Int(token)) ? source[Int(token)] : nil
    }

    package func spelling(ofWritten token: Int32) -> String? {
        target.indices.contains(Int(token)) ? target[Int(token)] : nil
    }

    package func text(of tokens: [Int32]) -> String {
        tokens.compactMap { target.indices.contains(Int($0)) ? target[Int($0)] : nil }
            .filter { !WordVocabulary.isSpecial($0) }.joined(separator: isByScalar ? "" : " ")
    }

    package func id(ofToken token: String) -> Int32? { targetIDs[ExactKey(token)] }
}

/// Marian's vocabulary as transformers keeps it: a SentencePiece model for each side that cuts texts into pieces, and
/// one table that numbers the pieces of both (or one for each).
///
/// Source: the files of the OPUS-MT models: source.spm, target.spm, vocab.json (target_vocab.json).
package struct MarianVocabulary: WriterVocabulary {
    private let source, target: Tokenizer
    private let sourceIDs, targetIDs: [ExactKey: Int32]
    private let sourcePieces, targetPieces: [Int32: String]
    private let end, unknown: Int32
    private let special: Set<Int32>

    /// Returns whether the folder has such files.
    package static func isIn(_ directory: String) -> Bool {
        ["source.spm", "target.spm", "vocab.json"].allSatisfy { fileExists(directory + "/" + $0) }
    }

    /// - Throws: ``TaskError`` for a table without the end of a text, and what reading throws.
    package init(directory: String) throws {
        func model(_ name: String) throws -> Tokenizer {
            try Tokenizer(sentencePiece: fileBytes(directory + "/" + name))
        }
        (source, target) = (try model("source.spm"), try model("target.spm"))
        sourceIDs = try MarianVocabulary.table(directory + "/vocab.json")
        let own = directory + "/target_vocab.json"
        targetIDs = fileExists(own) ? try MarianVocabulary.table(own) : sourceIDs
        sourcePieces = Dictionary(sourceIDs.map { ($1, $0.string) }) { first, _ in first }
        targetPieces = Dictionary(targetIDs.map { ($1, $0.string) }) { first, _ in first }
        guard let end = sourceIDs[ExactKey("</s>")], let unknown = sourceIDs[ExactKey("<unk>")] else {
            throw TaskError("\(directory)/vocab.json: there is no </s> or no <unk>")
        }
        (self.end, self.unknown) = (end, unknown)
        let targets = targetIDs
        special = Set(["</s>", "<unk>", "<pad>"].compactMap { targets[ExactKey($0)] })
    }

    private static func table(_ path: String) throws -> [ExactKey: Int32] {
        guard let object = try JSON(contentsOf: path).objectValue else { throw TaskError("\(path): no object") }
        return Dictionary(
            object.members.compactMap { key, value in
                value.integerValue.flatMap { Int32(exactly: $0) }.map { (ExactKey(key), $0) }
            }
        ) { first, _ in first }
    }

    /// The tokens of a text that is read. `>>fra<<` at its beginning names the language to write, and is no part of the
    /// text.
    package func read(_ text: String, addSpecialTokens: Bool) throws -> [Int32] {
        var (rest, ids) = (text, [Int32]())
        if text.utf8.starts(with: ">>".utf8), let end = text.utf8.lastIndex(of: UInt8(ascii: "<")),
            end > text.startIndex, text.utf8[text.utf8.index(before: end)] == UInt8(ascii: "<")
        {
            let after = text.utf8.index(after: end)
            ids.append(sourceIDs[ExactKey(String(text[..<after]))] ?? unknown)
            rest = String(text[after...])
        }
        ids += try source.encode(rest, addSpecialTokens: false).map { piece in
            source.token(piece).flatMap { sourceIDs[ExactKey($0)] } ?? unknown
        }
        return addSpecialTokens ? ids + [end] : ids
    }

    package func written(_ text: String) throws -> [Int32] {
        try target.encode(text, addSpecialTokens: false).map { piece in
            target.token(piece).flatMap { targetIDs[ExactKey($0)] } ?? unknown
        }
    }

    package func spelling(ofRead token: Int32) -> String? {
        sourcePieces[token].map(MarianVocabulary.spaced)
    }

    package func spelling(ofWritten token: Int32) -> String? { targetPieces[token].map(MarianVocabulary.spaced) }

    /// A piece with the space that its mark stands for.
    private static func spaced(_ piece: String) -> String {
        String(String.UnicodeScalarView(piece.unicodeScalars.map { $0 == "\u{2581}" ? " " : $0 }))
    }

    package func text(of tokens: [Int32]) throws -> String {
        let pieces = tokens.filter { !special.contains($0) }.compactMap { targetPieces[$0] }
        let known = pieces.compactMap { target.id(ofToken: $0) }
        if known.count == pieces.count { return try target.decode(known).trimmingSpaces }
        // Pieces of the other side are written as they are spelled.
        var spelled = String.UnicodeScalarView()
        for piece in pieces { spelled.append(contentsOf: piece.unicodeScalars.map { $0 == "\u{2581}" ? " " : $0 }) }
        return String(spelled).trimmingSpaces
    }

    package func id(ofToken token: String) -> Int32? { sourceIDs[ExactKey(token)] }
}

extension String {
    /// The text without spaces at both ends.
    fileprivate var trimmingSpaces: String {
        var scalars = unicodeScalars[...]
        while scalars.first == " " { scalars.removeFirst() }
        while scalars.last == " " { scalars.removeLast() }
        return String(scalars)
    }
}
