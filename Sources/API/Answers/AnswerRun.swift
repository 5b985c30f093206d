import Martlet
import MartletGeneration
import MartletTokenizers

/// The answers to one request as they are written: what the routes stream or collect.
actor AnswerRun {
    /// An update, something that happened since the last look.
    enum Update: Sendable {
        case delta(choice: Int, AnswerDelta)
        case finished(choice: Int, AnswerFinish)
        case ping
    }

    /// The room for an answer in tokens where nothing limits the length of a text.
    private static let longest = 4_096

    private let generation: Generation
    private var assemblies: [AnswerAssembly]
    private var open: Set<Int>
    private var clock: RequestClock
    private let limits: ServiceLimits
    private let metrics: ServiceMetrics
    let promptTokens: Int
    private(set) var cachedTokens = 0
    private var guesses: [GuessCounts]

    init(
        _ model: ServedModel, _ tokenizer: Tokenizer, _ engine: any TextEngine, prompt: [Int32],
        _ fields: GenerationFields, _ structure: AnswerAssembly.Structure, constraint: (any TokenConstraint)? = nil,
        _ job: Job
    ) {
        let room = model.context.map { max(0, $0 - prompt.count) } ?? AnswerRun.longest
        let most = fields.maximumTokens ?? model.defaults.maximumNewTokens(after: prompt.count) ?? room
        let stopTexts = fields.stopTexts.isEmpty && !fields.ignoresEnd ? model.defaults.stopTexts : fields.stopTexts
        let requests = (0..<fields.choices).map { choice in
            var request = TokenRequest(
                prompt: prompt, maximumTokens: min(most, room),
                sampling: fields.sampling(ofChoice: choice),
                stopTokens: fields.ignoresEnd ? [] : model.endOfTextTokens)
            (request.alternatives, request.constraint) = (fields.alternatives, constraint)
            (request.rules, request.tenant) = (model.rules(after: prompt.count, fields), job.tenant ?? 0)
            request.guesses = true
            return request
        }
        (limits, metrics, promptTokens) = (job.limits, job.metrics, prompt.count)
        guesses = requests.map { _ in GuessCounts() }
        assemblies = requests.map { _ in
            AnswerAssembly(tokenizer, stopTexts: stopTexts, structure)
        }
        open = Set(requests.indices)
        clock = RequestClock(choices: fields.choices, since: job.arrival)
        generation = Generation(requests, on: engine, cancellation: job.request.cancellation, limits: job.limits)
    }

    /// The calls that the prompt began, of choice `choice`.
    func beginning(ofChoice choice: Int) -> [AnswerPart] { assemblies[choice].beginning }

    /// The stop text that ended choice `choice`.
    func stopText(ofChoice choice: Int) -> String? { assemblies[choice].stopText }

    var generatedTokens: Int { assemblies.reduce(0) { $0 + $1.generatedTokens } }

    /// The guessed tokens of all choices, and the accepted ones of them.
    var guessedTokens: GuessCounts { guesses.reduce(GuessCounts(), +) }

    var thinkingTokens: Int { assemblies.reduce(0) { $0 + $1.thinkingTokens } }

    /// The times of reading the prompt and of writing the first choice.
    var durations: (reading: Duration, writing: Duration) { clock.durations }

    /// The updates since the last call, at least one; none when all choices have ended.
    ///
    /// - Throws: what a generation failed with; nothing runs on then.
    func next() async throws -> [Update] {
        while !open.isEmpty {
            var updates: [Update] = []
            for event in await generation.next() {
                do {
                    try take(event, &updates)
                } catch {
                    end()
                    throw error
                }
            }
            if open.isEmpty { end() }
            if !updates.isEmpty { return updates }
        }
        return []
    }

    private func take(_ event: Generation.Event, _ updates: inout [Update]) throws {
        switch event {
        case .began(let choice, let cached):
            // What a form forces is known as well, but no part of the prompt.
            cachedTokens = min(promptTokens, max(cachedTokens, cached))
            clock.began(choice, metrics)
        case .guessed(let choice, let counts): guesses[choice] = counts
        case .token(let choice, let token):
            guard open.contains(choice) else { return }
            clock.token(choice, metrics)
            let delta = try assemblies[choice].append(token)
            if !delta.parts.isEmpty || !delta.tokens.isEmpty { updates.append(.delta(choice: choice, delta)) }
            if assemblies[choice].finish != nil {
                generation.stop(choice: choice)
                close(choice, &updates)
            }
        case .finished(let choice, let reason):
            guard open.contains(choice) else { return }
            let delta = assemblies[choice].finish(reason)
            if !delta.parts.isEmpty || !delta.tokens.isEmpty { updates.append(.delta(choice: choice, delta)) }
            close(choice, &updates)
        case .failed(let choice, let error):
            if let choice, !open.contains(choice) { return }
            throw error
        case .ping: updates.append(.ping)
        case .deadline: throw APIError.timedOut(seconds: limits.requestSeconds)
        }
    }

    private func close(_ choice: Int, _ updates: inout [Update]) {
        open.remove(choice)
        let reason = assemblies[choice].finish ?? .stop
        metrics.finished(reason)
        updates.append(.finished(choice: choice, reason))
    }

    /// Ends what still runs, and counts what was done.
    private func end() {
        open = []
        generation.end()
        metrics.tokens(prompt: promptTokens, cached: cachedTokens, generated: generatedTokens)
        clock.ended(metrics)
    }

    /// Ends early: nobody reads any more.
    func abandon() {
        guard !open.isEmpty else { return }
        end()
    }
}
