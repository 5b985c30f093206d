import MartletPlatform

/// A tokenizer, from text to token ids and back: normalizer, pre-tokenizer, model, post-processor, decoder, and the
/// tokens added beside them.
///
/// A value that can be used from any number of threads at once; what it needs to work is kept in a pool.
public struct Tokenizer: Sendable {
    let normalizer: (any Normalizer)?
    let preTokenizer: (any PreTokenizer)?
    let model: any TokenModel
    let postProcessor: any PostProcessor
    let decoder: (any Decoder)?
    let added: AddedVocabulary
    /// The truncation of long texts that the file asks for. Neither this nor padding happens unless it is asked for.
    public let truncation: Truncation?
    /// The padding of short texts that the file asks for.
    public let padding: Padding?
    /// The special tokens, those with a role.
    public let specialTokens: SpecialTokens
    /// The chat template that came with the vocabulary, if any.
    public let chatTemplate: String?

    private static let longestKept = 1 << 16
    private let workspaces = WorkspacePool()
    private let frame: SpecialFrame?
    private let direct: DirectPattern?
    let skipped: Set<Int32>

    /// The parts of a tokenizer, which the readers of files put together.
    struct Parts {
        var normalizer: (any Normalizer)?
        var preTokenizer: (any PreTokenizer)?
        var model: any TokenModel
        var postProcessor: any PostProcessor = PlainPostProcessor()
        var decoder: (any Decoder)?
        var addedTokens: [AddedToken] = []
        var truncation: Truncation?
        var padding: Padding?
        var specialTokens = SpecialTokens()
        var chatTemplate: String?
    }

    init(_ parts: Parts) {
        normalizer = parts.normalizer
        preTokenizer = parts.preTokenizer
        model = parts.model
        postProcessor = parts.postProcessor
        decoder = parts.decoder
        added = AddedVocabulary(parts.addedTokens, normalizer: parts.normalizer)
        truncation = parts.truncation
        padding = parts.padding
        specialTokens = parts.specialTokens
        chatTemplate = parts.chatTemplate
        frame = SpecialFrame(parts.postProcessor)
        direct = DirectPattern(parts.normalizer, parts.preTokenizer)
        skipped = added.ids(spelledAsSpecial: parts.model.vocabulary)
    }

    /// The size of the vocabulary: one more than the largest id, added tokens included.
    public var vocabularySize: Int { max(model.vocabulary.count, added.largestID.map { Int($0) + 1 } ?? 0) }

    /// True where tokens inside a word are spelled with a prefix (##ing), so that words can be told from tokens.
    package var marksContinuations: Bool { model.marksContinuations }

    /// The tokens that stand beside the model's own, in the order of the file.
    public var addedTokens: [AddedToken] { added.tokens }

    // MARK: Encoding

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecialTokens: Adds what marks the structure, as `<s>` or `[CLS]`, where the tokenizer has such.
    ///   - parseSpecialTokens: Finds special tokens that are spelled in the text; false takes them for plain text.
    /// - Throws: ``TokenizerError/unknownText(_:remedy:)``, ``TokenizerError/textTooLong(bytes:)``.
    public func encode(
        _ text: String, addSpecialTokens: Bool = true, parseSpecialTokens: Bool = true
    ) throws(TokenizerError) -> [Int32] {
        var ids: [Int32] = []
        try encode(
            text.utf8Span.span, addSpecialTokens: addSpecialTokens, parseSpecialTokens: parseSpecialTokens, into: &ids)
        return ids
    }

    /// The ids of text given as bytes; malformed UTF-8 is replaced by U+FFFD first, one per maximal part of a scalar.
    public func encode(
        bytes: [UInt8], addSpecialTokens: Bool = true, parseSpecialTokens: Bool = true
    ) throws(TokenizerError) -> [Int32] {
        var ids: [Int32] = []
        let text = bytes.repairedUTF8
        try encode(text.span, addSpecialTokens: addSpecialTokens, parseSpecialTokens: parseSpecialTokens, into: &ids)
        return ids
    }

    /// The token ids of many texts, in their order, by several threads.
    ///
    /// - Parameter threads: nil: one per processor.
    /// - Throws: the error of the first text that has one.
    public func encode(
        batch texts: [String], addSpecialTokens: Bool = true, parseSpecialTokens: Bool = true, threads: Int? = nil
    ) throws(TokenizerError) -> [[Int32]] {
        let threads = max(1, min(threads ?? Processors.availableCores(), texts.count))
        let shares = BatchShares(texts.count, threads: threads)
        Threads.run(threads) { _ in
            while shares.fillNext({ index throws(TokenizerError) in
                try encode(texts[index], addSpecialTokens: addSpecialTokens, parseSpecialTokens: parseSpecialTokens)
            }) {}
        }
        return try shares.joined()
    }

    /// Appends the ids of `text`, which is valid UTF-8.
    package func encode(
        _ text: Span<UInt8>, addSpecialTokens: Bool, parseSpecialTokens: Bool, into ids: inout [Int32]
    ) throws(TokenizerError) {
        try encode(
            text, addSpecialTokens: addSpecialTokens, parsing: parseSpecialTokens ? .all : .none, into: &ids)
    }

    func encode(
        _ text: Span<UInt8>, addSpecialTokens: Bool, parsing: SpecialTokenParsing, into ids: inout [Int32]
    ) throws(TokenizerError) {
        guard let frame else {
            let text = unsafe text.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
            var sampling: SubwordSampling?
            ids += try encoding(of: text, nil, addSpecialTokens, parsing, nil, &sampling).ids
            return
        }
        var workspace = workspaces.take()
        defer { workspaces.give(workspace) }
        workspace.output.removeAll()
        if addSpecialTokens { workspace.output.ids += frame.before }
        if let direct, text.count <= Int(Int32.max) {
            try encodeDirectly(text, direct, parsing, &workspace)
        } else {
            try forEachSegment(of: text, parsing, tracksOrigins: false) {
                segment throws(TokenizerError) in
                switch segment {
                case .token(let token, _): workspace.output.ids.append(token.id)
                case .text(let staged): try workspace.append(staged, model)
                }
            }
        }
        if addSpecialTokens { workspace.output.ids += frame.after }
        // One array of the right size, instead of one that grows; a very long one is not kept.
        ids += workspace.output.ids
        if workspace.output.ids.count > Tokenizer.longestKept { workspace.output = TokenOutput() }
    }

    /// Cuts the text by the one pattern that there is, without a copy of it.
    private func encodeDirectly(
        _ text: Span<UInt8>, _ direct: DirectPattern, _ parsing: SpecialTokenParsing, _ workspace: inout Workspace
    ) throws(TokenizerError) {
        let parts =
            added.hasTokensInText
            ? added.parts(of: text, where: parsing.takes) : text.isEmpty ? [] : [.text(0..<text.count)]
        for part in parts {
            guard case .text(let range) = part else {
                if case .token(let token, _) = part { workspace.output.ids.append(token.id) }
                continue
            }
            let stretch = text.extracting(range)
            guard added.hasTokensInNormalizedText else {
                try direct.pattern.encodeWords(stretch, model, &workspace)
                continue
            }
            // Without a normalizer the normalized text is the text.
            let start = range.lowerBound
            for inner in added.parts(
                ofNormalized: stretch, where: { parsing.takes($0, start + $1.lowerBound..<start + $1.upperBound) })
            {
                switch inner {
                case .token(let token, _): workspace.output.ids.append(token.id)
                case .text(let range): try direct.pattern.encodeWords(stretch.extracting(range), model, &workspace)
                }
            }
        }
    }

    /// The ids of a text or of a pair of texts, with where each token came from.
    ///
    /// - Parameters:
    ///   - pair: A second text, for models that read two.
    ///   - truncation: How to cut what is too long; nil: not at all.
    /// - Throws: as ``encode(_:addSpecialTokens:parseSpecialTokens:)``, and ``TokenizerError/cannotTruncate(reason:)``.
    public func encoding(
        of text: String, pair: String? = nil, addSpecialTokens: Bool = true, parseSpecialTokens: Bool = true,
        truncation: Truncation? = nil
    ) throws(TokenizerError) -> Encoding {
        var sampling: SubwordSampling?
        return try encoding(
            of: text, pair, addSpecialTokens, parseSpecialTokens ? .all : .none, truncation, &sampling)
    }

    func encoding(
        of text: String, _ pair: String?, _ addSpecialTokens: Bool, _ parsing: SpecialTokenParsing,
        _ truncation: Truncation?, _ sampling: inout SubwordSampling?
    ) throws(TokenizerError) -> Encoding {
        var shown = ShownTokens()
        var encodings = [try sequenceEncoding(of: text, index: 0, parsing, &sampling, &shown)]
        if let pair {
            encodings.append(try sequenceEncoding(of: pair, index: 1, parsing, &sampling, &shown))
        }
        if let truncation {
            let reserved = addSpecialTokens ? postProcessor.addedTokens(isPair: pair != nil) : 0
            try truncation.apply(to: &encodings, reserving: reserved)
        }
        let texts = [text, pair].compactMap { $0.map { Array($0.utf8) } }
        let context = PostProcessorContext(
            token: { [shown] in spelling(ofToken: $0, shownIn: $1, for: $2, shown) }, texts: texts)
        let processed = postProcessor.process(encodings, addingSpecialTokens: addSpecialTokens, context)
        return Encoding.joined(processed)
    }

    private func sequenceEncoding(
        of text: String, index: Int32, _ parsing: SpecialTokenParsing, _ sampling: inout SubwordSampling?,
        _ shown: inout ShownTokens
    ) throws(TokenizerError) -> Encoding {
        var workspace = workspaces.take()
        workspace.model.sampling = sampling
        defer {
            if sampling != nil { sampling = workspace.model.sampling }
            workspace.model.sampling = nil
            workspaces.give(workspace)
        }
        var encoding = Encoding()
        var word: Int32 = 0
        let source = text.utf8Span.span
        try forEachSegment(of: source, parsing, tracksOrigins: true) {
            segment throws(TokenizerError) in
            switch segment {
            case .token(let token, let origin):
                encoding.append(token.id, origin, word: word, sequence: index)
                word += 1
            case .text(let staged):
                for piece in staged.pieces {
                    workspace.output.removeAll()
                    try model.tokenize(
                        staged.bytes.span.extracting(piece.range), &workspace.model, into: &workspace.output)
                    encoding.append(workspace.output, of: staged, piece, word: word, sequence: index)
                    shown.note(workspace.output, of: staged, piece, sequence: index, unknown: model.shownUnknown)
                    word += 1
                }
            }
        }
        workspace.output.removeAll()
        return encoding
    }

    /// An added token, or text that went through the first two stages.
    private enum Segment {
        case token(AddedToken, SourceRange)
        case text(StagedText)
    }

    private func forEachSegment(
        of text: Span<UInt8>, _ parsing: SpecialTokenParsing, tracksOrigins: Bool,
        _ body: (Segment) throws(TokenizerError) -> Void
    ) throws(TokenizerError) {
        guard text.count <= Int(Int32.max) else { throw .textTooLong(bytes: text.count) }
        let parts =
            added.hasTokensInText
            ? added.parts(of: text, where: parsing.takes) : text.isEmpty ? [] : [.text(0..<text.count)]
        for part in parts {
            switch part {
            case .token(let token, let range):
                try body(.token(token, SourceRange(start: Int32(range.lowerBound), end: Int32(range.upperBound))))
            case .text(let range):
                var staged = StagedText(
                    text, range: range, tracksOrigins: tracksOrigins || parsing.needsOrigins)
                normalizer?.normalize(&staged)
                try forEachSegment(ofNormalized: &staged, parsing, body)
            }
        }
    }

    /// The added tokens in normalized text, and what stands between them.
    private func forEachSegment(
        ofNormalized staged: inout StagedText, _ parsing: SpecialTokenParsing,
        _ body: (Segment) throws(TokenizerError) -> Void
    ) throws(TokenizerError) {
        guard added.hasTokensInNormalizedText else {
            preTokenizer?.preTokenize(&staged)
            return try body(.text(staged))
        }
        // Added tokens that are looked for in normalized text are judged by where that came from.
        let text = staged
        let parts = added.parts(ofNormalized: text.bytes.span) { token, range in
            guard case .outside = parsing else { return parsing.takes(token, range) }
            let origin = text.origin(of: range)
            return parsing.takes(token, Int(origin.start)..<max(Int(origin.start), Int(origin.end)))
        }
        for part in parts {
            switch part {
            case .token(let token, let range): try body(.token(token, text.origin(of: range)))
            case .text(let range):
                var slice = text.slice(range)
                preTokenizer?.preTokenize(&slice)
                try body(.text(slice))
            }
        }
    }
}

/// The tokens that a post-processor puts before and after one text, worked out once.
private struct SpecialFrame: Sendable {
    private static let placeholder: Int32 = -1
    let before: [Int32]
    let after: [Int32]

    /// - Returns: nil for a post-processor that leaves the text out or repeats it.
    init?(_ postProcessor: any PostProcessor) {
        var text = Encoding()
        text.append(SpecialFrame.placeholder, SourceRange(start: 0, end: 0), word: 0, sequence: 0)
        let context = PostProcessorContext(token: { _, _, _ in [] }, texts: [])
        let ids = postProcessor.process([text], addingSpecialTokens: true, context).flatMap(\.ids)
        let places = ids.indices.filter { ids[$0] == SpecialFrame.placeholder }
        guard places.count == 1, let place = places.first else { return nil }
        before = Array(ids[..<place])
        after = Array(ids[(place + 1)...])
    }
}
