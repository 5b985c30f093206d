/// Every match of a pattern in a token, replaced by fixed text.
struct ReplaceDecoder: Decoder {
    let pattern: FilePattern
    let content: [UInt8]

    func bytes(of token: [UInt8]) -> [UInt8] {
        var found: [Piece] = []
        pattern.matcher.matches(in: token.span, into: &found)
        guard !found.isEmpty else { return token }
        var result: [UInt8] = []
        var copied = 0
        for match in found {
            result += token[copied..<Int(match.start)]
            result += content
            copied = Int(match.end)
        }
        return result + token[copied...]
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        if isFused, case .literal(let literal) = pattern.spelling, !literal.isEmpty {
            return FusedStage(decoder: self, literal: literal)
        }
        let decoder = self
        return WholeTokenStage(isFused: isFused) { token, _ in decoder.bytes(of: token) }
    }

    /// A stage that holds back what may be the beginning of a match.
    private struct FusedStage: DecoderStage {
        let decoder: ReplaceDecoder
        let literal: [UInt8]
        private var held: [UInt8] = []
        private var isFirst = true

        init(decoder: ReplaceDecoder, literal: [UInt8]) {
            (self.decoder, self.literal) = (decoder, literal)
        }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            var found: [Piece] = []
            let all = held + fragment.bytes
            decoder.pattern.matcher.matches(in: all.span, into: &found)
            let certain = Int(found.last?.end ?? 0)
            var keep = min(literal.count - 1, all.count - certain)
            while keep > 0, !literal.starts(with: all[(all.count - keep)...]) { keep -= 1 }
            held = Array(all[(all.count - keep)...])
            emit(decoder.bytes(of: Array(all[..<(all.count - keep)])), to: &output)
        }

        mutating func finish(to output: inout [TokenFragment]) {
            if !held.isEmpty { emit(held, to: &output) }
            held = []
        }

        private mutating func emit(_ bytes: [UInt8], to output: inout [TokenFragment]) {
            output.append(TokenFragment(bytes: bytes, beginsToken: isFirst))
            isFirst = false
        }
    }
}
