import Martlet
import MartletModels
import MartletServing
import Synchronization

/// A language model that is served under several names, each with its own adapters: the weights are there once, and
/// texts of all names are written by common steps.
///
/// It is loaded when the first name is, and let go when the last one is.
package final class SharedModel: Sendable {
    private struct State: Sendable {
        weak var model: LanguageModel?
        var loading: Task<LanguageModel, any Error>?
    }

    private let path: String
    private let sets: [(name: String, adapters: [(directory: String, scale: Float)])]
    private let state = Mutex(State())

    /// - Parameter sets: the names that have adapters, with these.
    package init(path: String, sets: [(name: String, adapters: [(directory: String, scale: Float)])]) {
        (self.path, self.sets) = (path, sets)
    }

    /// The number of a name's adapters; nil for the model alone.
    func number(of name: String) -> Int? { sets.firstIndex { $0.name == name } }

    func model(_ settings: ServedModel.Settings) async throws -> LanguageModel {
        let loading = state.withLock { state in
            if let known = state.model { return Task<LanguageModel, any Error> { known } }
            if let loading = state.loading { return loading }
            let made = Task<LanguageModel, any Error> { [path, sets] in
                try await LanguageModel.load(
                    path: path, adapters: sets.map(\.name), draft: settings.draft, threads: settings.threads,
                    engine: settings.engine()
                ) {
                    var file = try ModelFile(path: path)
                    file.packedCache = settings.packedCache
                    for set in sets { try file.add(selectable: set.adapters) }
                    return file
                }
            }
            state.loading = made
            return made
        }
        let result = await loading.result
        state.withLock { state in
            state.loading = nil
            if case .success(let model) = result { state.model = model }
        }
        return try result.get()
    }
}
