/// A token's text, or a part of it, on its way through the decoders.
struct TokenFragment: Sendable {
    var bytes: [UInt8]
    /// False when it continues the token before it, as all do behind a decoder that fuses.
    let beginsToken: Bool
}

/// The fifth stage: the tokens' text to text. A decoder is a description; its work is done by a ``DecoderStage``.
///
/// Whole texts and streams run through the same stages, so a stream cannot differ from the decoding of the whole.
protocol Decoder: Sendable {
    /// True where everything goes out as one token.
    var fuses: Bool { get }

    /// - Parameter isFused: Whether the fragments that come in are parts of one token.
    func makeStage(isFused: Bool) -> any DecoderStage

    /// The bytes that a token adds to a text when it is not the first.
    func bytes(of token: [UInt8]) -> [UInt8]
}

/// A decoder at work: fragments in, fragments out, each as soon as it is certain.
protocol DecoderStage: Sendable {
    mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment])
    mutating func finish(to output: inout [TokenFragment])
}

extension Decoder {
    var fuses: Bool { false }
}

/// A stage that sees one whole token at a time; fused text is gathered first, up to the end.
struct WholeTokenStage: DecoderStage {
    let isFused: Bool
    /// The text of a token, given whether it is the first; nil: nothing goes out.
    let transform: @Sendable (_ token: [UInt8], _ isFirst: Bool) -> [UInt8]?
    private var gathered: [UInt8]?
    private var isFirst = true

    init(isFused: Bool, _ transform: @escaping @Sendable (_ token: [UInt8], _ isFirst: Bool) -> [UInt8]?) {
        self.isFused = isFused
        self.transform = transform
    }

    mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
        if isFused {
            gathered = (gathered ?? []) + fragment.bytes
        } else {
            emit(fragment.bytes, to: &output)
        }
    }

    mutating func finish(to output: inout [TokenFragment]) {
        if let gathered { emit(gathered, to: &output) }
        gathered = nil
    }

    private mutating func emit(_ token: [UInt8], to output: inout [TokenFragment]) {
        if let bytes = transform(token, isFirst) { output.append(TokenFragment(bytes: bytes, beginsToken: true)) }
        isFirst = false
    }
}

/// Decoders one after the other.
struct DecoderSequence: Decoder {
    let parts: [any Decoder]

    var fuses: Bool { parts.contains { $0.fuses } }

    func makeStage(isFused: Bool) -> any DecoderStage {
        var fused = isFused
        var stages: [any DecoderStage] = []
        for part in parts {
            stages.append(part.makeStage(isFused: fused))
            fused = fused || part.fuses
        }
        return Stage(stages: stages)
    }

    func bytes(of token: [UInt8]) -> [UInt8] { parts.reduce(token) { $1.bytes(of: $0) } }

    private struct Stage: DecoderStage {
        var stages: [any DecoderStage]

        mutating func push(_ fragment: TokenFragment, to output: inout [TokenFragment]) {
            output += run([fragment], from: 0)
        }

        mutating func finish(to output: inout [TokenFragment]) {
            for index in stages.indices {
                var last: [TokenFragment] = []
                stages[index].finish(to: &last)
                output += run(last, from: index + 1)
            }
        }

        private mutating func run(_ fragments: [TokenFragment], from first: Int) -> [TokenFragment] {
            var fragments = fragments
            for index in stages.indices.dropFirst(first) {
                var next: [TokenFragment] = []
                for fragment in fragments { stages[index].push(fragment, to: &next) }
                fragments = next
            }
            return fragments
        }
    }
}
