/// GPT-2's names of bytes back to bytes; malformed UTF-8 is replaced. A token that names no bytes stands for itself.
struct ByteLevelDecoder: Decoder {
    var fuses: Bool { true }

    func bytes(of token: [UInt8]) -> [UInt8] { ByteAlphabet.bytes(namedBy: token) ?? token }

    func makeStage(isFused: Bool) -> any DecoderStage {
        // Text that is fused already is a single token.
        isFused ? DecoderSequence(parts: [GatherDecoder(), self]).makeStage(isFused: false) : Stage(decoder: self)
    }

    private struct Stage: DecoderStage {
        let decoder: ByteLevelDecoder
        private var repairer = UTF8Repairer()
        private var isFirst = true

        init(decoder: ByteLevelDecoder) { self.decoder = decoder }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            emit(repairer.push(decoder.bytes(of: fragment.bytes)), to: &output)
        }

        mutating func finish(to output: inout [TokenFragment]) { emit(repairer.finish(), to: &output) }

        private mutating func emit(_ bytes: [UInt8], to output: inout [TokenFragment]) {
            guard !bytes.isEmpty else { return }
            output.append(TokenFragment(bytes: bytes, beginsToken: isFirst))
            isFirst = false
        }
    }
}

/// Gathers fused text to its end, for a decoder that must see a token whole.
struct GatherDecoder: Decoder {
    func bytes(of token: [UInt8]) -> [UInt8] { token }
    func makeStage(isFused: Bool) -> any DecoderStage { WholeTokenStage(isFused: true) { token, _ in token } }
}
