/// A decoder that takes up to so many of one scalar off the front and the back of each token.
struct StripDecoder: Decoder {
    let content: UInt32
    let start: Int
    let stop: Int

    /// A token in the middle of a text keeps its ends where everything is fused, which is how this decoder is used.
    func bytes(of token: [UInt8]) -> [UInt8] { token }

    private func strip(_ token: [UInt8]) -> [UInt8] {
        let scalars = token.scalars
        let front = scalars.prefix(start).prefix { $0 == content }.count
        let back = scalars.reversed().prefix(stop).prefix { $0 == content }.count
        var result: [UInt8] = []
        guard front <= scalars.count - back else { return result }
        for scalar in scalars[front..<(scalars.count - back)] { result.appendScalar(scalar) }
        return result
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        if isFused && stop == 0 { return FusedStage(content: content, left: start) }
        let decoder = self
        return WholeTokenStage(isFused: isFused) { token, _ in decoder.strip(token) }
    }

    private struct FusedStage: DecoderStage {
        let content: UInt32
        var left: Int
        private var isFirst = true

        init(content: UInt32, left: Int) { (self.content, self.left) = (content, left) }

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            var index = 0
            while left > 0, index < fragment.bytes.count {
                let scalar = fragment.bytes.span.scalar(at: index)
                guard scalar.value == content else {
                    left = 0
                    break
                }
                index += scalar.length
                left -= 1
            }
            output.append(TokenFragment(bytes: Array(fragment.bytes[index...]), beginsToken: isFirst))
            isFirst = false
        }

        mutating func finish(to output: inout [TokenFragment]) {}
    }
}
