/// Runs of byte tokens (`<0xE2>`) back to text.
///
/// As the reference, a run that is not valid UTF-8 from end to end becomes one U+FFFD per byte; so a run goes out when
/// it ends. As SentencePiece (`decodesEagerly`), each scalar goes out when it is complete, and each malformed byte
/// becomes U+FFFD.
struct ByteFallbackDecoder: Decoder {
    var decodesEagerly = false

    func bytes(of token: [UInt8]) -> [UInt8] { ByteTokens.byte(token).map { [$0] } ?? token }

    func makeStage(isFused: Bool) -> any DecoderStage {
        if isFused { return DecoderSequence(parts: [GatherDecoder(), self]).makeStage(isFused: false) }
        return decodesEagerly ? EagerStage() : RunStage()
    }

    private struct RunStage: DecoderStage {
        private var run: [UInt8] = []

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            if let byte = ByteTokens.byte(fragment.bytes) {
                run.append(byte)
            } else {
                finish(to: &output)
                output.append(fragment)
            }
        }

        mutating func finish(to output: inout [TokenFragment]) {
            guard !run.isEmpty else { return }
            if run.isValidUTF8 {
                output.append(TokenFragment(bytes: run, beginsToken: true))
            } else {
                for _ in run { output.append(TokenFragment(bytes: [0xEF, 0xBF, 0xBD], beginsToken: true)) }
            }
            run = []
        }
    }

    private struct EagerStage: DecoderStage {
        private var repairer = UTF8Repairer(.perByte)

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            if let byte = ByteTokens.byte(fragment.bytes) {
                emit(repairer.push([byte]), to: &output)
            } else {
                finish(to: &output)
                output.append(fragment)
            }
        }

        mutating func finish(to output: inout [TokenFragment]) { emit(repairer.finish(), to: &output) }

        private func emit(_ bytes: [UInt8], to output: inout [TokenFragment]) {
            if !bytes.isEmpty { output.append(TokenFragment(bytes: bytes, beginsToken: true)) }
        }
    }
}
