/// Tokens that are bytes already, end to end; malformed UTF-8 is replaced.
struct BytesDecoder: Decoder {
    var fuses: Bool { true }
    func bytes(of token: [UInt8]) -> [UInt8] { token }
    func makeStage(isFused: Bool) -> any DecoderStage { Stage() }

    private struct Stage: DecoderStage {
        private var repairer = UTF8Repairer()
        private var isFirst = true

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            emit(repairer.push(fragment.bytes), to: &output)
        }

        mutating func finish(to output: inout [TokenFragment]) { emit(repairer.finish(), to: &output) }

        private mutating func emit(_ bytes: [UInt8], to output: inout [TokenFragment]) {
            guard !bytes.isEmpty else { return }
            output.append(TokenFragment(bytes: bytes, beginsToken: isFirst))
            isFirst = false
        }
    }
}
