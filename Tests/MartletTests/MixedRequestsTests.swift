import Martlet
import MartletConstraints
import MartletGeneration
import TestSupport
import Testing

/// Requests of every kind at once through one model with adapters and a draft: each gives what it gives alone, whoever
/// leaves, dawdles, or has no time.
@Suite struct MixedRequestsTests {
    private struct Request: Sendable {
        var prompt: String
        var options: GenerationOptions
        /// A search with so many beams instead.
        var beams: Int?
    }

    private struct Answer: Equatable, Sendable {
        var text = ""
        var tokens: [Int32] = []
        var scores: [String] = []
        var finish: FinishReason?
    }

    private static func request(_ random: inout SplitMix) -> Request {
        let words = ["one", "two", "three", "four", "a", "b", "\n", "é"]
        let beginning = Int.random(in: 0..<3, using: &random)
        let length = [1, 3, 8, 14].randomElement(using: &random) ?? 1
        let prompt = (0..<length).map { words[($0 * 7 + beginning) % words.count] }.joined(separator: " ")
        let isSampled = Bool.random(using: &random)
        var options = GenerationOptions(
            maximumTokens: Int.random(in: 1...20, using: &random),
            sampling: isSampled
                ? Sampling(temperature: 1.3, topK: 30, seed: UInt64.random(in: 0...9, using: &random)) : .greedy,
            endOfText: Bool.random(using: &random) ? .ignored : .stops)
        let constraints: [OutputConstraint?] = [
            nil, nil, nil, .schema(#"{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}"#),
            .regularExpression("(ab|c)+d?"), .grammar(#"root ::= ("x" | "yz")+ "." "#),
        ]
        options.constraint = constraints.randomElement(using: &random) ?? nil
        if options.constraint != nil { options.endOfText = .stops }
        options.guesses = Bool.random(using: &random)
        options.isDrafted = Bool.random(using: &random)
        options.adapter = [nil, nil, "a", "b"].randomElement(using: &random) ?? nil
        options.logProbabilities = [nil, 0, 3].randomElement(using: &random) ?? nil
        options.priority = Int.random(in: -3...3, using: &random)
        options.cache = [.f32, .f16, .bf16].randomElement(using: &random) ?? .f32
        if isSampled { options.sampling.frequencyPenalty = Float(Int.random(in: 0...1, using: &random)) }
        let isSearch = options.constraint == nil && options.adapter == nil && Int.random(in: 0..<6, using: &random) == 0
        return Request(prompt: prompt, options: options, beams: isSearch ? 3 : nil)
    }

    /// - Parameters:
    ///   - leavesAfter: The pieces after which the reader leaves.
    ///   - pause: Between pieces, of a reader that dawdles.
    private static func answer(
        _ request: Request, _ model: LanguageModel, leavesAfter: Int? = nil, pause: Duration? = nil
    ) async throws -> Answer {
        var answer = Answer()
        if let beams = request.beams {
            let found = try await model.search(
                request.prompt, .init(beams: beams, maximumTokens: request.options.maximumTokens))
            answer.text = found.map(\.text).joined(separator: "|")
            return answer
        }
        var pieces = 0
        for try await piece in try model.generate(request.prompt, request.options) {
            answer.text += piece.text
            answer.tokens += piece.tokens
            answer.scores += piece.scores.map { "\($0)" }
            answer.finish = piece.summary?.finish ?? answer.finish
            pieces += 1
            if let leavesAfter, pieces > leavesAfter { break }
            if let pause { try await Task.sleep(for: pause) }
        }
        return answer
    }

    @Test(arguments: [1, 2]) func togetherIsAlone(threads: Int) async throws {
        try await TemporaryFolder.use { first in
            try await TemporaryFolder.use { second in
                try SelectedAdapterTests.write(1, in: first)
                try SelectedAdapterTests.write(2, in: second)
                let path = LanguageModelTests.path
                let model = try await LanguageModel.load(
                    path: path, adapters: ["a": first, "b": second], draft: path, threads: threads)
                let seed = UInt64.random(in: 0...UInt64.max)
                var random = SplitMix(state: seed)
                let requests = (0..<60).map { _ in Self.request(&random) }
                var alone: [Answer] = []
                for request in requests { alone.append(try await Self.answer(request, model)) }
                let leaving = (0..<40).map { _ in (Self.request(&random), Int.random(in: 0..<6, using: &random)) }
                let together = try await withThrowingTaskGroup(of: (Int, Answer)?.self) { group in
                    for (index, request) in requests.enumerated() {
                        group.addTask {
                            let pause: Duration? = index % 5 == 0 ? .milliseconds(2) : nil
                            return (index, try await Self.answer(request, model, pause: pause))
                        }
                        guard index < leaving.count else { continue }
                        let (other, pieces) = leaving[index]
                        group.addTask {
                            await Self.leave(other, model, after: pieces)
                            return nil
                        }
                    }
                    return try await group.reduce(into: [Int: Answer]()) {
                        if let (index, answer) = $1 { $0[index] = answer }
                    }
                }
                for (index, request) in requests.enumerated() {
                    #expect(together[index] == alone[index], "seed \(seed): \(request)")
                }
                // Nothing of those who left is left.
                for (index, request) in requests.prefix(6).enumerated() {
                    #expect(try await Self.answer(request, model) == alone[index], "seed \(seed): \(request)")
                }
            }
        }
    }

    /// Somebody who leaves: before the first step, by cancelling, after some pieces, or for want of time.
    private static func leave(_ request: Request, _ model: LanguageModel, after pieces: Int) async {
        var request = request
        if pieces == 0 { request.options.timeLimit = .zero }
        let asked = request
        let task = Task { _ = try await answer(asked, model, leavesAfter: pieces) }
        if pieces == 1 { task.cancel() }
        if pieces == 2 { await Task.yield() }
        if pieces == 2 { task.cancel() }
        _ = await task.result
    }

    @Test func whoHasNoTimeIsTold() async throws {
        let model = try await LanguageModel.load(path: LanguageModelTests.path, threads: 1)
        for limit in [Duration.zero, .seconds(-1), .nanoseconds(1)] {
            var options = GenerationOptions(maximumTokens: 400, endOfText: .ignored)
            options.timeLimit = limit
            let asked = options
            await #expect(throws: GenerationError.self) { try await model.generate("one two", asked).text() }
        }
        #expect(try await !model.generate("one two", GenerationOptions(maximumTokens: 3)).text().isEmpty)
    }

    /// Ten thousand at once: each is answered or told that there are too many, and nobody waits for ever.
    @Test func crowdsAreAnsweredOrTold() async throws {
        let model = try await LanguageModel.load(path: LanguageModelTests.path, threads: 2)
        let options = GenerationOptions(maximumTokens: 2, endOfText: .ignored)
        let alone = try await model.generate("one two", options).text()
        let (answered, refused) = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<10_000 { group.addTask { try? await model.generate("one two", options).text() } }
            return await group.reduce(into: (0, 0)) { counts, text in
                if let text {
                    #expect(text == alone)
                    counts.0 += 1
                } else {
                    counts.1 += 1
                }
            }
        }
        #expect(answered >= 256 && answered + refused == 10_000)
        #expect(try await model.generate("one two", options).text() == alone)
    }
}
