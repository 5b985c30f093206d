package import Martlet
import MartletGeneration
import Synchronization

/// Generations that take turns on one model, token by token, a few at a time; the others wait in order.
package final class TurnEngine: TextEngine {
    private let model: LanguageModel
    private let slots: Slots

    /// - Parameter slots: How many generations run at once.
    package init(_ model: LanguageModel, slots: Int) { (self.model, self.slots) = (model, Slots(max(1, slots))) }

    package var load: EngineLoad { slots.load }

    package func submit(
        _ request: TokenRequest, _ receive: @escaping @Sendable (TokenEvent) -> Void
    ) -> @Sendable () -> Void {
        let task = Task(executorPreference: model.thread) { [model, slots] in
            guard await slots.take() else { return receive(.failed(CancellationError())) }
            defer { slots.give() }
            do {
                try await TurnEngine.run(model, request, receive)
            } catch {
                receive(.failed(error))
            }
        }
        return { task.cancel() }
    }

    private static func run(
        _ model: LanguageModel, _ request: TokenRequest, _ receive: @Sendable (TokenEvent) -> Void
    ) async throws {
        var generator = try TokenGenerator(
            model.decoder, prompt: request.prompt,
            .init(
                maximumTokens: request.maximumTokens, sampling: request.sampling, stopTokens: request.stopTokens),
            on: model.device)
        receive(.began(cachedTokens: generator.rememberedCount))
        var chooser = TokenChooser(request)
        while !generator.isPromptRead {
            generator.readPrompt()
            try await giveWay()
        }
        var chosen: SampledToken?
        while !chooser.isFinished {
            let token = generator.next { logits, history in
                let choice = chooser.next(logits, position: history.count)
                chosen = choice
                return choice.token
            }
            if let failure = chooser.failure { throw failure }
            guard token != nil, let chosen else { break }
            receive(.token(chosen))
            try await giveWay()
        }
        receive(.finished(chooser.isFinished ? .stop : generator.finish ?? .length))
    }

    /// Lets the others have their turn.
    private static func giveWay() async throws {
        await Task.yield()
        try Task.checkCancellation()
    }
}

/// Places for a few, handed out in the order of asking.
private final class Slots: Sendable {
    private struct State {
        var free: Int
        var taken = 0
        var next = 0
        var waiters: [(number: Int, continuation: CheckedContinuation<Bool, Never>)] = []
        var cancelled: Set<Int> = []
    }
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(free: count)) }

    var load: EngineLoad { state.withLock { EngineLoad(running: $0.taken, waiting: $0.waiters.count) } }

    /// Waits for a place; false when the task was cancelled before it had one.
    func take() async -> Bool {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.cancelled.remove(number) != nil { return false }
                    guard state.free > 0 else {
                        state.waiters.append((number, continuation))
                        return nil
                    }
                    state.free -= 1
                    state.taken += 1
                    return true
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
                    state.cancelled.insert(number)
                    return nil
                }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
    }

    func give() {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            state.cancelled = state.cancelled.filter { number in state.waiters.contains { $0.number == number } }
            guard state.waiters.isEmpty else { return state.waiters.removeFirst().continuation }
            state.free += 1
            state.taken -= 1
            return nil
        }
        waiter?.resume(returning: true)
    }
}
