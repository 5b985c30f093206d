/// The contents of a SentencePiece `.model` file (`sentencepiece_model.proto`), as far as encoding needs them.
struct SentencePieceFile {
    /// The type of a piece, by its number in the file: GGUF has these types from here.
    typealias PieceType = GGUFVocabulary.TokenType

    /// The type of a model, by its number in the file.
    enum ModelType: UInt64 {
        case unigram = 1
        case bytePair = 2
        case word = 3
        case character = 4
    }

    private(set) var pieces: [[UInt8]] = []
    private(set) var scores: [Float] = []
    private(set) var types: [PieceType] = []
    private(set) var modelType = ModelType.unigram
    private(set) var blankIsSuffix = false
    private(set) var fallsBackToBytes = false
    private(set) var charsmap: [UInt8] = []
    private(set) var addsDummyPrefix = true
    private(set) var removesExtraBlanks = true
    private(set) var escapesBlanks = true
    private(set) var unknownSurface = Array(" \u{2047} ".utf8)
    /// The spellings of the pieces for the beginning and the end; nil where the model has none.
    private(set) var beginning: String? = "<s>"
    private(set) var end: String? = "</s>"
    private(set) var unknown = "<unk>"

    static let source = "SentencePiece model"

    init(_ bytes: [UInt8]) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, 0..<bytes.count)
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else { continue }
            switch field {
            case 1: try readPiece(ProtobufReader(bytes, range))
            case 2: try readTrainer(ProtobufReader(bytes, range))
            case 3: try readNormalizer(ProtobufReader(bytes, range))
            default: continue
            }
        }
        var offences: [String] = []
        if pieces.isEmpty { offences.append("there are no pieces") }
        if pieces.count > Vocabulary.maximumCount {
            offences.append("there are \(pieces.count) pieces, over \(Vocabulary.maximumCount)")
        }
        if types.filter({ $0 == .unknown }).count != 1 { offences.append("not exactly one piece is the unknown one") }
        if let empty = pieces.firstIndex(where: \.isEmpty) { offences.append("piece \(empty) is empty") }
        if let bad = scores.firstIndex(where: { !$0.isFinite }) {
            offences.append("the score of piece \(bad) is not finite")
        }
        guard offences.isEmpty else { throw .malformed(source: SentencePieceFile.source, offences: offences) }
    }

    /// This model with its pieces as `names` number them; names that are no pieces are control tokens.
    func renumbered(_ names: [[UInt8]]) -> SentencePieceFile {
        let own = Dictionary(pieces.indices.map { (pieces[$0], $0) }) { first, _ in first }
        let least = scores.min() ?? 0
        var file = self
        file.pieces = names
        file.scores = names.map { own[$0].map { scores[$0] } ?? least }
        file.types = names.map { own[$0].map { types[$0] } ?? .control }
        return file
    }

    private mutating func readPiece(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        var (piece, score, type): ([UInt8], Float, PieceType) = ([], 0, .normal)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): piece = Array(reader.bytes[range])
            case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
            case (3, .varint(let number)):
                guard let known = Int32(exactly: number).flatMap(PieceType.init) else {
                    throw .malformed(
                        source: SentencePieceFile.source, offences: ["piece \(pieces.count) has the type \(number)"])
                }
                type = known
            default: continue
            }
        }
        pieces.append(piece)
        scores.append(score)
        types.append(type)
    }

    private mutating func readTrainer(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        var (hasBeginning, hasEnd) = (true, true)
        defer {
            if !hasBeginning { beginning = nil }
            if !hasEnd { end = nil }
        }
        func text(_ range: Range<Int>) -> String { String(decoding: message.bytes[range], as: UTF8.self) }
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (3, .varint(let number)):
                guard let known = ModelType(rawValue: number) else {
                    throw .malformed(source: SentencePieceFile.source, offences: ["the model type is \(number)"])
                }
                modelType = known
            case (24, .varint(let number)): blankIsSuffix = number != 0
            case (35, .varint(let number)): fallsBackToBytes = number != 0
            // Numbers below 0 mean none.
            case (41, .varint(let number)): hasBeginning = Int64(bitPattern: number) >= 0
            case (42, .varint(let number)): hasEnd = Int64(bitPattern: number) >= 0
            case (44, .bytes(let range)): unknownSurface = Array(reader.bytes[range])
            case (45, .bytes(let range)): unknown = text(range)
            case (46, .bytes(let range)): beginning = text(range)
            case (47, .bytes(let range)): end = text(range)
            default: continue
            }
        }
    }

    private mutating func readNormalizer(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .bytes(let range)): charsmap = Array(reader.bytes[range])
            case (3, .varint(let number)): addsDummyPrefix = number != 0
            case (4, .varint(let number)): removesExtraBlanks = number != 0
            case (5, .varint(let number)): escapesBlanks = number != 0
            default: continue
            }
        }
    }
}

extension Tokenizer {
    /// Reads a SentencePiece `.model` file: Unigram, BPE, word or character.
    ///
    /// Matches SentencePiece: no special tokens are added, and none is found in text. An unknown piece decodes to
    /// U+2047 between spaces, as there.
    ///
    /// - Throws: ``TokenizerError/malformed(source:offences:)``.
    public init(sentencePiece bytes: [UInt8]) throws(TokenizerError) {
        self.init(try SentencePieceAssembly.parts(SentencePieceFile(bytes)))
    }
}

/// The assembly of a tokenizer from a SentencePiece file.
enum SentencePieceAssembly {
    static func parts(_ file: SentencePieceFile) throws(TokenizerError) -> Tokenizer.Parts {
        let unknown = Int32(file.types.firstIndex(of: .unknown) ?? 0)
        let userDefined = ByteTrie(
            file.types.indices.filter { file.types[$0] == .userDefined }.map { (file.pieces[$0], Int32($0)) })
        var parts = Tokenizer.Parts(model: model(file, unknown: unknown, userDefined))
        parts.normalizer = SentencePieceNormalizer(
            charsmap: file.charsmap.isEmpty ? nil : try Charsmap(file.charsmap, source: SentencePieceFile.source),
            addsDummyPrefix: file.addsDummyPrefix, removesExtraBlanks: file.removesExtraBlanks,
            escapesBlanks: file.escapesBlanks, blankIsSuffix: file.blankIsSuffix,
            userDefined: userDefined)
        parts.decoder = SentencePieceDecoder(
            unknown: file.pieces[Int(unknown)], unknownSurface: file.unknownSurface,
            control: Set(file.types.indices.filter { file.types[$0] == .control }.map { file.pieces[$0] }),
            stripsFirstBlank: file.addsDummyPrefix || file.removesExtraBlanks,
            stripsAllFirstBlanks: file.removesExtraBlanks)
        func find(_ name: String) -> Int32? {
            file.pieces.firstIndex { $0.elementsEqual(name.utf8) }.map { Int32($0) }
        }
        parts.specialTokens.beginning = find("<s>")
        parts.specialTokens.ends = find("</s>").map { [$0] } ?? []
        parts.specialTokens.padding = find("<pad>")
        parts.specialTokens.unknown = unknown
        return parts
    }

    private static func model(
        _ file: SentencePieceFile, unknown: Int32, _ userDefined: ByteTrie
    ) -> any TokenModel {
        func isPiece(_ id: Int) -> Bool { file.types[id].isPiece }
        switch file.modelType {
        case .unigram:
            return UnigramModel(
                vocabulary: Vocabulary(file.pieces), scores: file.scores.map(Double.init), unknown: unknown,
                fallsBackToBytes: file.fallsBackToBytes, isPiece: isPiece,
                rules: UnigramModel.SentencePieceRules(
                    isUserDefined: file.types.map { $0 == .userDefined }, isUnused: file.types.map { $0 == .unused }))
        case .bytePair:
            return ScoredBytePair.build(
                tokens: file.pieces, scores: file.scores, isPiece: isPiece, unknown: unknown,
                fallsBackToBytes: file.fallsBackToBytes, userDefined: userDefined)
        case .word, .character:
            let vocabulary = Vocabulary(file.pieces)
            return SentenceWordsModel(
                vocabulary: vocabulary,
                pieces: Vocabulary(file.pieces.indices.map { isPiece($0) ? file.pieces[$0] : nil }),
                unit: file.modelType == .character ? .scalar : .word, unknown: unknown, userDefined: userDefined,
                byteTokens: file.fallsBackToBytes ? ByteTokens.ids(in: vocabulary) : nil)
        }
    }
}
