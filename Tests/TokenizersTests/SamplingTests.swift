import MartletTokenizers
import Testing

/// Segmentations drawn at random: all spell the text, a seed gives them again.
struct SamplingTests {
    private static func trained(_ kind: TokenizerTrainer.Kind) throws -> Tokenizer {
        let text = "the other brother gathers feathers there, the weather bothers them\n"
        var trainer = TokenizerTrainer(kind, vocabularySize: kind == .byteLevelBytePair ? 320 : 80)
        trainer.threads = 1
        return try trainer.train(texts: [String(repeating: text, count: 50)]).tokenizer
    }

    @Test(arguments: [TokenizerTrainer.Kind.byteLevelBytePair, .bytePair, .unigram])
    func everyDrawSpellsTheText(_ kind: TokenizerTrainer.Kind) throws {
        let tokenizer = try Self.trained(kind)
        let text = "the weather bothers the other brother"
        var sampling = SubwordSampling(seed: 1, dropout: 0.3, smoothing: 0)
        var again = sampling
        var draws: Set<[Int32]> = []
        for _ in 0..<50 {
            let ids = try tokenizer.encode(text, sampling: &sampling)
            #expect(try tokenizer.decode(ids) == text)
            #expect(try tokenizer.encode(text, sampling: &again) == ids)
            draws.insert(ids)
        }
        #expect(draws.count > 10)
        #expect(try tokenizer.encode(text) == tokenizer.encoding(of: text).ids)
    }

    @Test func withoutDropoutItIsTheBestOne() throws {
        let tokenizer = try Self.trained(.byteLevelBytePair)
        var sampling = SubwordSampling(seed: 1, dropout: 0)
        #expect(try tokenizer.encode("the weather", sampling: &sampling) == tokenizer.encode("the weather"))
        sampling.dropout = 1
        #expect(try tokenizer.encode("the weather", sampling: &sampling).count == 11)
        // A word of any length is drawn in time that grows as it does.
        sampling.dropout = 0.1
        #expect(try tokenizer.encode(String(repeating: "the", count: 20_000), sampling: &sampling).count > 20_000 / 2)
    }
}
