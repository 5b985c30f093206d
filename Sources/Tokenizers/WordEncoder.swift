/// The workspace of one encoding thread, and the loop from words to ids.
struct Workspace {
    var model = ModelWorkspace()
    var output = TokenOutput()
    private let cache = PieceCache()

    /// Appends the ids of one word.
    @inline(__always)
    mutating func append(_ word: Span<UInt8>, _ tokenModel: any TokenModel) throws(TokenizerError) {
        guard word.count <= PieceCache.longestWord else {
            return try tokenModel.tokenize(word, &model, into: &output)
        }
        let key = PieceCache.key(word)
        if cache.append(key, to: &output.ids) { return }
        try appendUnknown(word, key, tokenModel)
    }

    @inline(never)
    private mutating func appendUnknown(
        _ word: Span<UInt8>, _ key: PieceCache.Key, _ tokenModel: any TokenModel
    ) throws(TokenizerError) {
        let start = output.ids.count
        output.spans.removeAll(keepingCapacity: true)
        try tokenModel.tokenize(word, &model, into: &output)
        cache.store(key, output.ids[start...])
    }

    /// Appends the ids of all words of a staged text.
    mutating func append(_ staged: borrowing StagedText, _ tokenModel: any TokenModel) throws(TokenizerError) {
        let bytes = staged.bytes.span
        let joints = tokenModel.joints
        for piece in staged.pieces {
            let word = bytes.extracting(piece.range)
            guard let joints, word.count > PieceCache.longestWord else {
                try append(word, tokenModel)
                continue
            }
            if let unigram = tokenModel as? UnigramModel {
                try unigram.appendWords(word, joints, &model, cache, into: &output)
            } else {
                var start = 0
                while start < word.count {
                    let end = joints.end(of: word, from: start)
                    try append(word.extracting(start..<end), tokenModel)
                    start = end
                }
            }
        }
    }
}

/// The first two stages, where they only cut the text given into the matches of one pattern: then words go straight to
/// the model.
struct DirectPattern: Sendable {
    let pattern: any CoveringPattern

    /// - Returns: nil when the stages do anything else.
    init?(_ normalizer: (any Normalizer)?, _ preTokenizer: (any PreTokenizer)?) {
        guard normalizer == nil, let preTokenizer else { return nil }
        var parts: [any PreTokenizer] = [preTokenizer]
        if let sequence = preTokenizer as? PreTokenizerSequence { parts = sequence.parts }
        var found: (any CoveringPattern)?
        for part in parts {
            switch part {
            case let split as SplitPreTokenizer:
                guard found == nil, let pattern = split.pattern.matcher as? any CoveringPattern,
                    split.behavior == .isolated || split.behavior == .removed && split.inverted
                else { return nil }
                found = pattern
            case let byteLevel as ByteLevelPreTokenizer:
                guard !byteLevel.namesBytes, !byteLevel.addsPrefixSpace else { return nil }
                if byteLevel.splitsByPattern {
                    guard found == nil else { return nil }
                    found = GPT2Pattern()
                }
            default: return nil
            }
        }
        guard let found else { return nil }
        pattern = found
    }
}

extension CoveringPattern {
    /// Appends the ids of the words of `text`.
    @inline(__always)
    func encodeWords(_ text: Span<UInt8>, _ model: any TokenModel, _ workspace: inout Workspace) throws(TokenizerError)
    {
        var start = 0
        while start < text.count {
            let end = end(of: text, from: start)
            try workspace.append(text.extracting(start..<end), model)
            start = end
        }
    }
}
