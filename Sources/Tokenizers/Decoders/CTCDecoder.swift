/// Connectionist temporal classification: repeated tokens once, padding dropped, the word delimiter to a space.
struct CTCDecoder: Decoder {
    let padding: [UInt8]
    let delimiter: [UInt8]
    let cleansUp: Bool

    func bytes(of token: [UInt8]) -> [UInt8] {
        let kept = replace(padding, in: token, by: [])
        return cleansUp ? replace(delimiter, in: WordPieceDecoder.cleanUp(kept), by: [UInt8(ascii: " ")]) : kept
    }

    private func replace(_ literal: [UInt8], in token: [UInt8], by content: [UInt8]) -> [UInt8] {
        ReplaceDecoder(pattern: FilePattern(literal: literal), content: content).bytes(of: token)
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        isFused ? DecoderSequence(parts: [GatherDecoder(), self]).makeStage(isFused: false) : Stage(decoder: self)
    }

    private struct Stage: DecoderStage {
        let decoder: CTCDecoder
        private var last: [UInt8]?

        init(decoder: CTCDecoder) { self.decoder = decoder }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            if let last, last == fragment.bytes { return }
            last = fragment.bytes
            let bytes = decoder.bytes(of: fragment.bytes)
            if !bytes.isEmpty { output.append(TokenFragment(bytes: bytes, beginsToken: true)) }
        }

        mutating func finish(to output: inout [TokenFragment]) {}
    }
}
