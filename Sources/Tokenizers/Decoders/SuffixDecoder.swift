/// The end-of-word suffix to a space, to nothing in the last token (`BPEDecoder`); so one token is always held back.
struct SuffixDecoder: Decoder {
    let suffix: [UInt8]

    func bytes(of token: [UInt8]) -> [UInt8] { replace(token, by: [UInt8(ascii: " ")]) }

    private func replace(_ token: [UInt8], by content: [UInt8]) -> [UInt8] {
        ReplaceDecoder(pattern: FilePattern(literal: suffix), content: content).bytes(of: token)
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        isFused ? DecoderSequence(parts: [GatherDecoder(), self]).makeStage(isFused: false) : Stage(decoder: self)
    }

    private struct Stage: DecoderStage {
        let decoder: SuffixDecoder
        private var held: [UInt8]?

        init(decoder: SuffixDecoder) { self.decoder = decoder }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            if let held { output.append(TokenFragment(bytes: decoder.bytes(of: held), beginsToken: true)) }
            held = fragment.bytes
        }

        mutating func finish(to output: inout [TokenFragment]) {
            if let held { output.append(TokenFragment(bytes: decoder.replace(held, by: []), beginsToken: true)) }
            held = nil
        }
    }
}
