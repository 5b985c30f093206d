import MartletTensors
import MartletTraining
import Testing

@Suite struct ObjectiveTests {
    private func random(_ stream: UInt64 = 0) -> Random { Random(seed: 5, stream: stream) }

    @Test func causal() {
        var random = random()
        let example = CausalLanguageModelling().example([[4, 5, 6]], &random)
        #expect(example == Example(tokens: [4, 5], targets: [5, 6]))
        #expect(CausalLanguageModelling().example([[4]], &random) == nil)
    }

    @Test func sequenceToSequence() {
        var random = random()
        let objective = SequenceToSequence(start: 0, longest: 4)
        #expect(
            objective.example([[7, 8, 2], [3, 4, 5, 2]], &random)
                == Example(tokens: [7, 8, 2], decoderTokens: [0, 3, 4, 5], targets: [3, 4, 5, 2]))
        #expect(objective.example([[1, 1, 1, 1, 1], [3]], &random) == nil)
        #expect(objective.example([[1], []], &random) == nil)
    }

    @Test func maskedShares() {
        let objective = MaskedLanguageModelling(
            share: 0.15, mask: 999, vocabulary: 1_000, before: [1], after: [2], beginsWord: nil)
        var (chosen, masked, kept, total) = (0, 0, 0, 0)
        for stream in 0..<200 as Range<UInt64> {
            var random = random(stream)
            let piece = (0..<100).map { Int32($0 + 100) }
            guard let example = objective.example([piece], &random) else { continue }
            #expect(example.tokens.count == 102 && example.tokens.first == 1 && example.tokens.last == 2)
            #expect(example.targets.first == Example.ignored && example.targets.last == Example.ignored)
            total += 100
            for index in 1...100 {
                guard example.targets[index] != Example.ignored else {
                    #expect(example.tokens[index] == piece[index - 1])
                    continue
                }
                #expect(example.targets[index] == piece[index - 1])
                chosen += 1
                masked += example.tokens[index] == 999 ? 1 : 0
                kept += example.tokens[index] == piece[index - 1] ? 1 : 0
            }
        }
        #expect(abs(Double(chosen) / Double(total) - 0.15) < 0.01)
        #expect(abs(Double(masked) / Double(chosen) - 0.8) < 0.03)
        #expect(abs(Double(kept) / Double(chosen) - 0.1) < 0.02)
    }

    @Test func wholeWordsAreChosenTogether() {
        // Even tokens begin words.
        let objective = MaskedLanguageModelling(
            share: 0.3, mask: 1, vocabulary: 10, before: [], after: [], beginsWord: (0..<10).map { $0 % 2 == 0 })
        var random = random()
        let piece = [Int32](repeating: 0, count: 100).indices.map { Int32($0 % 2 == 0 ? 4 : 5) }
        let targets = objective.example([piece], &random)?.targets ?? []
        #expect(targets.count == 100)
        for index in stride(from: 0, to: 100, by: 2) {
            #expect((targets[index] == Example.ignored) == (targets[index + 1] == Example.ignored))
        }
    }

    @Test func spansReturnInOrder() throws {
        let objective = SpanCorruption(start: 0, end: 1, sentinels: (0..<100).map { 900 - Int32($0) })
        for length in [2, 3, 10, 50, 114] {
            var random = random(UInt64(length))
            let piece = (0..<length).map { Int32($0 + 10) }
            let example = try #require(objective.example([piece], &random))
            #expect(example.tokens.last == 1 && example.targets.last == 1 && example.decoderTokens?.first == 0)
            // Putting each span in the place of its sentinel gives the text again.
            var spans: [Int32: [Int32]] = [:]
            var sentinel: Int32 = 0
            for token in example.targets.dropLast() {
                if token >= 800 { sentinel = token } else { spans[sentinel, default: []].append(token) }
            }
            let text = example.tokens.dropLast().flatMap { $0 >= 800 ? spans[$0] ?? [] : [$0] }
            #expect(text == piece)
            let noise = spans.values.reduce(0) { $0 + $1.count }
            #expect(noise == min(max(Int((Double(length) * 0.15).rounded()), 1), length - 1))
        }
    }

    @Test func spansFillTheirRows() {
        // T5's own numbers: 568 tokens become 512 rows and 114 targets.
        let objective = SpanCorruption(start: 0, end: 1, sentinels: (0..<100).map { 900 - Int32($0) })
        #expect(objective.pieceLength(rows: 512) == 568)
        var random = random()
        let example = objective.example([(0..<568).map { Int32($0) }], &random)
        #expect(example?.tokens.count == 512 && example?.targets.count == 114)
    }

    @Test func augmentationLeavesTargets() {
        var augmentation = Augmentation()
        (augmentation.masking, augmentation.maskToken) = (0.5, 99)
        (augmentation.dropping, augmentation.shuffling) = (0.3, 3)
        let causal = Example(tokens: Array(10..<60), targets: Array(11..<61))
        var (changed, generator) = (causal, random())
        augmentation.apply(&changed, &generator)
        #expect(changed.targets == causal.targets && changed.tokens.count == 50)
        #expect(zip(changed.tokens, causal.tokens).allSatisfy { $0 == $1 || $0 == 99 } && changed.tokens.contains(99))
        let pair = Example(tokens: Array(10..<60), decoderTokens: [0, 1], targets: [1, 2])
        var other = pair
        augmentation.masking = 0
        augmentation.apply(&other, &generator)
        #expect(other.decoderTokens == pair.decoderTokens && other.tokens.count < 50 && other.tokens.last == 59)
        #expect(Set(other.tokens).isSubset(of: Set(pair.tokens)) && other.tokens != other.tokens.sorted())
    }
}
