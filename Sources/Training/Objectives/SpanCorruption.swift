package import MartletTensors

/// Spans of the text are taken out, each replaced by a sentinel of its own; the decoder writes sentinel and span in
/// turn (T5, arXiv:1910.10683, section 3.1.4).
///
/// `share` of the tokens fall into spans of `meanLength` on average; spans and gaps between them are cut at random as
/// in the reference's `random_spans_noise_mask`: both are divided into equally many parts, none empty, a gap first.
package struct SpanCorruption: Objective {
    package static let name = "span-corruption"

    package let share: Double
    package let meanLength: Double
    /// The start token, which the decoder reads first.
    package let start: Int32
    /// The end token, after the text and after the answer.
    package let end: Int32
    /// The sentinels in the order of their use.
    package let sentinels: [Int32]

    package init(share: Double = 0.15, meanLength: Double = 3, start: Int32, end: Int32, sentinels: [Int32]) {
        precondition(share > 0 && share < 1 && meanLength >= 1, "SpanCorruption: \(share) in spans of \(meanLength)")
        precondition(!sentinels.isEmpty, "SpanCorruption: no sentinels")
        (self.share, self.meanLength) = (share, meanLength)
        (self.start, self.end, self.sentinels) = (start, end, sentinels)
    }

    /// The longest text whose encoder rows, sentinels and end included, are at most `rows`.
    package func pieceLength(rows: Int) -> Int {
        var length = max(2, rows - 1)
        while encoderRows(length + 1) <= rows { length += 1 }
        return length
    }

    private func encoderRows(_ length: Int) -> Int {
        let (noise, spans) = counts(length)
        return length - noise + spans + 1
    }

    private func counts(_ length: Int) -> (noise: Int, spans: Int) {
        let noise = min(max(Int((Double(length) * share).rounded()), 1), length - 1)
        let spans = max(1, Int((Double(noise) / meanLength).rounded()))
        return (noise, min(spans, noise, length - noise, sentinels.count))
    }

    package func example(_ sides: [[Int32]], _ random: inout Random) -> Example? {
        guard let tokens = sides.first, tokens.count >= 2 else { return nil }
        let (noise, spans) = counts(tokens.count)
        let taken = SpanCorruption.parts(of: noise, spans, &random)
        let gaps = SpanCorruption.parts(of: tokens.count - noise, spans, &random)
        var input: [Int32] = []
        var answer: [Int32] = []
        var place = 0
        for (index, (gap, span)) in zip(gaps, taken).enumerated() {
            input += tokens[place..<place + gap]
            input.append(sentinels[index])
            answer.append(sentinels[index])
            answer += tokens[(place + gap)..<(place + gap + span)]
            place += gap + span
        }
        input.append(end)
        answer.append(end)
        return Example(tokens: input, decoderTokens: [start] + answer.dropLast(), targets: answer)
    }

    /// `count` as the sum of `parts` numbers of at least 1, all such sums equally likely.
    static func parts(of count: Int, _ parts: Int, _ random: inout Random) -> [Int] {
        // A choice of parts − 1 of the count − 1 places between two things, by selection in their order.
        var lengths: [Int] = []
        var (last, wanted) = (0, parts - 1)
        for place in stride(from: 1, to: count, by: 1) where wanted > 0 {
            if random.uniform() * Double(count - place) < Double(wanted) {
                lengths.append(place - last)
                (last, wanted) = (place, wanted - 1)
            }
        }
        lengths.append(count - last)
        return lengths
    }
}
