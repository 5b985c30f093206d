import MartletGeneration
import MartletModels

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
