import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

@Suite struct TokenGeneratorTests {
    func generate(_ prompt: [Int32], _ options: TokenGenerator.Options, threads: Int = 2) throws -> (
        [Int32], FinishReason?
    ) {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(context: 200), threads: threads)
        var generator = try TokenGenerator(decoder, prompt: prompt, options, on: device)
        var tokens: [Int32] = []
        while let token = generator.next() { tokens.append(token) }
        return (tokens, generator.finish)
    }

    @Test func greedyIsTheArgmaxOfTheWholePass() throws {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(), threads: 1)
        var expected = EquivalenceTests.tokens(20)
        for _ in 0..<15 {
            var state = Uncached()
            let hidden = decoder.hidden(Rows(expected), &state, on: device)
            expected.append(Int32(decoder.logits(hidden.rows(expected.count - 1..<expected.count)).argmax()))
        }
        let (tokens, finish) = try generate(EquivalenceTests.tokens(20), .init(maximumTokens: 15))
        #expect(tokens == Array(expected.dropFirst(20)) && finish == .length)
    }

    @Test func chunksOfThePromptChangeNothing() throws {
        let prompt = EquivalenceTests.tokens(130)
        let sampling = Sampling(temperature: 1, seed: 11)
        let whole = try generate(prompt, .init(maximumTokens: 30, sampling: sampling))
        for chunk in [1, 7, 64, 129, 130] {
            let (tokens, _) = try generate(
                prompt, .init(maximumTokens: 30, sampling: sampling, chunk: chunk), threads: 1)
            #expect(tokens == whole.0)
        }
    }

    @Test func stopTokensAndTheContextEndIt() throws {
        let free = try generate([1, 2, 3], .init(maximumTokens: 10))
        let stopped = try generate([1, 2, 3], .init(maximumTokens: 10, stopTokens: [free.0[4]]))
        #expect(stopped.0 == Array(free.0.prefix { $0 != free.0[4] }) && stopped.1 == .stop)
        let full = try generate(EquivalenceTests.tokens(195), .init(maximumTokens: 50))
        #expect(full.0.count == 5 && full.1 == .length)
        #expect(try generate([1], .init(maximumTokens: 0)).0.isEmpty)
    }

    @Test func everythingWrongWithARequestIsNamed() throws {
        let error = #expect(throws: GenerationError.self) {
            try generate([5, 99], .init(maximumTokens: -1, sampling: Sampling(temperature: -1, topP: .nan)))
        }
        for part in ["99", "61", "temperature", "top-p", "-1 tokens"] {
            #expect(error?.description.contains(part) == true)
        }
        let long = #expect(throws: GenerationError.self) {
            try generate(EquivalenceTests.tokens(201), .init(maximumTokens: 1))
        }
        #expect(long?.description.contains("201") == true && long?.description.contains("200") == true)
        #expect(throws: GenerationError.self) { try generate([], .init(maximumTokens: 1)) }
    }
}
