/// A decoder that fuses all tokens into one.
struct FuseDecoder: Decoder {
    var fuses: Bool { true }
    func bytes(of token: [UInt8]) -> [UInt8] { token }
    func makeStage(isFused: Bool) -> any DecoderStage { Stage() }

    private struct Stage: DecoderStage {
        private var isFirst = true

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            output.append(TokenFragment(bytes: fragment.bytes, beginsToken: isFirst))
            isFirst = false
        }

        mutating func finish(to output: inout [TokenFragment]) {}
    }
}
