/// Pieces back to text as SentencePiece does it: the visible blank to a space, byte pieces to text, and the blank that
/// was put before the text taken off again.
enum SentencePieceDecoding {
    static func decoder(stripsFirstBlank: Bool) -> any Decoder {
        var parts: [any Decoder] = [
            ReplaceDecoder(pattern: FilePattern(literal: Array("▁".utf8)), content: [0x20]),
            ByteFallbackDecoder(decodesEagerly: true), FuseDecoder(),
        ]
        if stripsFirstBlank { parts.append(StripDecoder(content: 0x20, start: 1, stop: 0)) }
        return DecoderSequence(parts: parts)
    }
}

/// Pieces back to text for SentencePiece's own files, where control pieces stand for nothing and the unknown piece for
/// a sign of its own.
struct SentencePieceDecoder: Decoder {
    let unknown: [UInt8]
    let unknownSurface: [UInt8]
    let control: Set<[UInt8]>
    let stripsFirstBlank: Bool
    /// A piece that is only the blank does not end the beginning.
    let stripsAllFirstBlanks: Bool

    var fuses: Bool { true }
    private static let sign = Array("▁".utf8)
    private static let blanks = ReplaceDecoder(pattern: FilePattern(literal: sign), content: [0x20])

    func bytes(of token: [UInt8]) -> [UInt8] {
        if let byte = ByteTokens.byte(token) { return [byte] }
        if token == unknown { return unknownSurface }
        return control.contains(token) ? [] : SentencePieceDecoder.blanks.bytes(of: token)
    }

    func makeStage(isFused: Bool) -> any DecoderStage { Stage(decoder: self) }

    private struct Stage: DecoderStage {
        let decoder: SentencePieceDecoder
        private var repairer = UTF8Repairer(.perByte)
        private var isFirst = true
        private var isFirstPiece = true

        init(decoder: SentencePieceDecoder) { self.decoder = decoder }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            if let byte = ByteTokens.byte(fragment.bytes) {
                emit(repairer.push([byte]), to: &output)
                isFirstPiece = false
                return
            }
            emit(repairer.finish(), to: &output)
            var text = decoder.bytes(of: fragment.bytes)
            // Control pieces do not count as the first.
            guard !text.isEmpty else { return }
            if isFirstPiece, decoder.stripsFirstBlank, fragment.bytes.starts(with: sign) {
                text.removeFirst()
                if text.isEmpty, decoder.stripsAllFirstBlanks { return }
            }
            isFirstPiece = false
            emit(text, to: &output)
        }

        mutating func finish(to output: inout [TokenFragment]) { emit(repairer.finish(), to: &output) }

        private mutating func emit(_ bytes: [UInt8], to output: inout [TokenFragment]) {
            guard !bytes.isEmpty else { return }
            output.append(TokenFragment(bytes: bytes, beginsToken: isFirst))
            isFirst = false
        }
    }
}
