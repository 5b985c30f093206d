package import MartletGeneration
package import MartletModels

/// A request to an engine: read these texts whole, each in one piece. Embeddings, classes, tags, pairs to be ranked.
package struct ReadingRequest: Sendable {
    /// Whose tokens are the model's.
    package var texts: [WholeText]
    /// The adapter over the engine's model that reads, by number; nil for the model alone.
    package var adapter: Int?
    /// Whose it is: queues are bounded by tenant.
    package var tenant = 0
    /// Higher is read first.
    package var priority = 0

    package init(_ texts: [WholeText], adapter: Int? = nil, tenant: Int = 0) {
        (self.texts, self.adapter, self.tenant) = (texts, adapter, tenant)
    }
}

/// A request to an engine: find by beam search how these texts go on. What each begins with is read once, for all beams
/// and results.
package struct SearchRequest: Sendable {
    /// A text that is to be written.
    package struct Text: Sendable {
        /// The source that an encoder-decoder writes about; empty for a decoder.
        package var source: [Int32] = []
        /// The tokens that the decoder reads first.
        package var prompt: [Int32]

        /// Tokens that are to be read.
        var count: Int { source.isEmpty ? prompt.count : source.count }
    }

    package var texts: [Text]
    package var options: BeamSearch.Options
    /// Whose it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// Higher is admitted first and preempted last.
    package var priority = 0

    /// Writes about `sources`, after `prompt`.
    package init(_ sources: [[Int32]], prompt: [Int32], _ options: BeamSearch.Options, tenant: Int = 0) {
        (texts, self.options) = (sources.map { Text(source: $0, prompt: prompt) }, options)
        self.tenant = tenant
    }

    /// Continues `prompts`.
    package init(prompts: [[Int32]], _ options: BeamSearch.Options, tenant: Int = 0) {
        (texts, self.options) = (prompts.map { Text(prompt: $0) }, options)
        self.tenant = tenant
    }
}

/// A request to an engine, and where its results go.
enum EngineWork: Sendable {
    case generation(EngineRequest, EngineOutput)
    case reading(ReadingRequest, WorkOutput<ReadText>)
    case search(SearchRequest, WorkOutput<[BeamSearch.Hypothesis]>)

    /// The number of parts that are scheduled by themselves.
    var parts: Int {
        switch self {
        case .generation: 1
        case .reading(let request, _): request.texts.count
        case .search(let request, _): request.texts.count
        }
    }

    /// Tokens that are to be read.
    var tokens: Int {
        switch self {
        case .generation(let request, _): request.tokens.count
        case .reading(let request, _): request.texts.reduce(0) { $0 + $1.tokens.count }
        case .search(let request, _): request.texts.reduce(0) { $0 + $1.count }
        }
    }

    var tenant: Int {
        switch self {
        case .generation(let request, _): request.tenant
        case .reading(let request, _): request.tenant
        case .search(let request, _): request.tenant
        }
    }

    /// - Returns: the reader to wake, where one waits.
    func fail(_ error: any Error) -> CheckedContinuation<Void, Never>? {
        switch self {
        case .generation(_, let output): output.finish(.failure(error))
        case .reading(_, let output): output.fail(error)
        case .search(_, let output): output.fail(error)
        }
    }
}

/// A request of several parts that the engine works on.
final class EngineParts {
    /// The parts' numbers; the first one names the request.
    let ids: Range<Int>
    let work: EngineWork
    private(set) var left: Int

    init(_ ids: Range<Int>, _ work: EngineWork) { (self.ids, self.work, left) = (ids, work, ids.count) }

    /// - Returns: whether it was the last one.
    func finishPart() -> Bool {
        left -= 1
        return left == 0
    }
}
