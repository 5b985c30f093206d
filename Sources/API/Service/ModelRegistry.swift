import MartletJSON
import MartletPlatform
import Synchronization

/// The registry of a service's models: those that are loaded, and those that it knows how to load.
///
/// Asking for a model that is not loaded loads it and waits. Where no more may be loaded, and after a time without
/// requests, the one that was used longest ago is let go; what it is answering goes on to its end.
package final class ModelRegistry: Sendable {
    package typealias Load = @Sendable () async throws -> ServedModel

    private enum Stage {
        case unloaded
        case loading(Task<ServedModel, any Error>)
        case loaded(ServedModel)
    }

    private struct Entry {
        let name: String
        /// The closure that loads the model; nil for one that was given loaded: it cannot be loaded again, so it is
        /// never let go.
        let load: Load?
        var stage: Stage
        var used = ContinuousClock.now

        var model: ServedModel? { if case .loaded(let model) = stage { model } else { nil } }

        /// True where it can be let go, and nothing is being computed.
        var isIdle: Bool { load != nil && model?.engine.load.isIdle == true }
    }

    private struct State {
        var entries: [Entry] = []
        /// Models without which the service is not ready, until they have been loaded once.
        var awaited: [String] = []

        func index(of name: String) -> Int? { entries.firstIndex { $0.name.hasSameBytes(as: name) } }
    }
    private let state = Mutex(State())

    /// The maximum number of models that are loaded at once; nil for any number.
    package let limit: Int?

    /// The number of times that it is looked, every 50 ms, whether a model has become idle that can make room.
    private static let tries = 20

    package init(limit: Int? = nil) { self.limit = limit }

    // MARK: What there is

    /// Adds a model that is loaded.
    func add(_ model: ServedModel) {
        state.withLock { state in
            state.entries.removeAll { $0.name.hasSameBytes(as: model.name) }
            state.entries.append(Entry(name: model.name, load: nil, stage: .loaded(model)))
        }
    }

    /// Adds a model that can be loaded; `isAwaited` says that without it the service is not ready.
    func register(_ name: String, isAwaited: Bool, _ load: @escaping Load) {
        state.withLock { state in
            guard state.index(of: name) == nil else { return }
            state.entries.append(Entry(name: name, load: load, stage: .unloaded))
            if isAwaited { state.awaited.append(name) }
        }
    }

    var models: [ServedModel] { state.withLock { $0.entries.compactMap(\.model) } }

    /// Every name, with the model where it is loaded.
    var names: [(name: String, model: ServedModel?)] { state.withLock { $0.entries.map { ($0.name, $0.model) } } }

    var isLoading: Bool { state.withLock { !$0.awaited.isEmpty } }

    // MARK: Asking

    private enum Found {
        case model(ServedModel)
        case loading(Task<ServedModel, any Error>)
        case refusal(APIError)
    }

    /// The model called `name`, loaded if it is not; the first one for nil.
    ///
    /// - Throws: ``APIError`` for a name that nobody has, for a model that the start waits for, and where no more can
    ///   be loaded; what loading throws.
    func model(named name: String?) async throws -> ServedModel {
        for _ in 0..<ModelRegistry.tries {
            let found = state.withLock { state -> Found? in
                guard let index = name.map({ state.index(of: $0) }) ?? (state.entries.isEmpty ? nil : 0) else {
                    return .refusal(ModelRegistry.unknown(name, state.entries.map(\.name)))
                }
                return begin(index, &state, isStart: false)
            }
            if let found { return try await wait(found) }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ModelRegistry.allBusy(limit ?? 0)
    }

    /// Loads a model, as the start of a server does.
    package func load(_ name: String) async throws -> ServedModel {
        let found = state.withLock { state -> Found in
            guard let index = state.index(of: name) else {
                return .refusal(ModelRegistry.unknown(name, state.entries.map(\.name)))
            }
            return begin(index, &state, isStart: true) ?? .refusal(ModelRegistry.allBusy(limit ?? 0))
        }
        return try await wait(found)
    }

    private func wait(_ found: Found) async throws -> ServedModel {
        switch found {
        case .model(let model): model
        case .loading(let task): try await task.value
        case .refusal(let error): throw error
        }
    }

    /// The model of an entry, or how it comes to be loaded; nil where all that are loaded are answering.
    private func begin(_ index: Int, _ state: inout State, isStart: Bool) -> Found? {
        let name = state.entries[index].name
        state.entries[index].used = .now
        switch state.entries[index].stage {
        case .loaded(let model): return .model(model)
        case .loading(let task):
            return isStart || !state.awaited.contains(where: { $0.hasSameBytes(as: name) })
                ? .loading(task) : .refusal(ModelRegistry.isBeingLoaded(name))
        case .unloaded:
            if !isStart, state.awaited.contains(where: { $0.hasSameBytes(as: name) }) {
                return .refusal(ModelRegistry.isBeingLoaded(name))
            }
            guard let load = state.entries[index].load else { return .refusal(ModelRegistry.isBeingLoaded(name)) }
            guard makeRoom(&state) else { return nil }
            let task = Task { [weak self] in
                do {
                    let model = try await load()
                    self?.settle(name, .loaded(model))
                    return model
                } catch {
                    self?.settle(name, .unloaded)
                    throw error
                }
            }
            state.entries[index].stage = .loading(task)
            return .loading(task)
        }
    }

    private func settle(_ name: String, _ stage: Stage) {
        state.withLock { state in
            state.awaited.removeAll { $0.hasSameBytes(as: name) }
            if let index = state.index(of: name) {
                (state.entries[index].stage, state.entries[index].used) = (stage, .now)
            }
        }
    }

    /// Lets a model go where there may be no more; false where all are answering.
    private func makeRoom(_ state: inout State) -> Bool {
        guard let limit else { return true }
        let taken = state.entries.filter { if case .unloaded = $0.stage { false } else { true } }.count
        guard taken >= limit else { return true }
        let idle = state.entries.indices.filter { state.entries[$0].isIdle }
        guard let oldest = idle.min(by: { state.entries[$0].used < state.entries[$1].used }) else { return false }
        state.entries[oldest].stage = .unloaded
        return true
    }

    private static func allBusy(_ count: Int) -> APIError {
        .unavailable(
            "\(count) models are loaded, as many as may be, and all of them are answering; try again.",
            code: "models_busy", retryAfter: 5)
    }

    // MARK: Letting go

    /// Lets the model called `name` go.
    ///
    /// - Throws: ``APIError`` for a name that nobody has, and for a model that could not be loaded again.
    func unload(_ name: String) throws(APIError) {
        let refusal = state.withLock { state -> APIError? in
            guard let index = state.index(of: name) else {
                return ModelRegistry.unknown(name, state.entries.map(\.name))
            }
            guard state.entries[index].load != nil else {
                return .invalid("The model \(name.quoted) cannot be loaded again, so it stays.", "model")
            }
            if state.entries[index].model != nil { state.entries[index].stage = .unloaded }
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Lets every model go that nobody has asked for in the last `seconds`.
    ///
    /// - Returns: their names.
    package func evict(idleFor seconds: Double) -> [String] {
        let limit = ContinuousClock.now - .seconds(seconds)
        return state.withLock { state in
            var names: [String] = []
            for index in state.entries.indices where state.entries[index].isIdle && state.entries[index].used < limit {
                state.entries[index].stage = .unloaded
                names.append(state.entries[index].name)
            }
            return names
        }
    }

    private static func isBeingLoaded(_ name: String) -> APIError {
        .unavailable("The model \(name.quoted) is being loaded.", code: "loading", retryAfter: 2)
    }

    private static func unknown(_ name: String?, _ known: [String]) -> APIError {
        guard let name else { return .unavailable("There is no model yet.", code: "loading", retryAfter: 2) }
        return .notFound(
            "There is no model \(name.quoted); here are \(known.map(\.quoted).joined(separator: ", ")).",
            code: "model_not_found", parameter: "model")
    }
}
