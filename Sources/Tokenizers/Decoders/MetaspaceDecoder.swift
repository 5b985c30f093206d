/// The sign for a space back to a space; in the first token it goes, when one had been put before the text.
struct MetaspaceDecoder: Decoder {
    let replacement: UInt32
    let dropsInFirst: Bool
    /// Settings as the file has them; of no use in decoding.
    let scheme: MetaspaceScheme
    let splits: Bool

    func bytes(of token: [UInt8]) -> [UInt8] { bytes(of: token, isFirst: false) }

    private func bytes(of token: [UInt8], isFirst: Bool) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < token.count {
            let scalar = token.span.scalar(at: index)
            if scalar.value != replacement {
                result += token[index..<(index + scalar.length)]
            } else if !(isFirst && dropsInFirst) {
                result.append(UInt8(ascii: " "))
            }
            index += scalar.length
        }
        return result
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        let decoder = self
        return WholeTokenStage(isFused: isFused) { decoder.bytes(of: $0, isFirst: $1) }
    }
}
