import Martlet
import MartletGeneration
import MartletServing

/// Generations of one decoder by its batching engine.
struct BatchEngine: TextEngine {
    private let engine: Engine
    private let adapter: Int?

    /// - Parameter adapter: the number of the adapter over the engine's model that writes; nil for the model alone.
    init(_ engine: Engine, adapter: Int? = nil) { (self.engine, self.adapter) = (engine, adapter) }

    var load: EngineLoad { engine.load }

    var longestText: Int { engine.longest }

    func submit(
        _ request: TokenRequest, _ receive: @escaping @Sendable (TokenEvent) -> Void
    ) -> @Sendable () -> Void {
        let stream: EngineStream
        do {
            var request = BatchEngine.engineRequest(request)
            request.adapter = adapter
            stream = try engine.submit(request)
        } catch {
            receive(.failed(error))
            return {}
        }
        Task {
            do {
                await stream.beginning()
                if stream.progress.began != nil { receive(.began(cachedTokens: stream.progress.sharedTokens)) }
                var known = GuessCounts()
                for try await token in stream {
                    let progress = stream.progress
                    let counts = GuessCounts(guessed: progress.guessedTokens, accepted: progress.acceptedTokens)
                    if counts != known { receive(.guessed(counts)) }
                    known = counts
                    receive(.token(token))
                }
                receive(.finished(stream.usage?.finish ?? .length))
            } catch {
                receive(.failed(error))
            }
        }
        return { [weak stream] in stream?.cancel() }
    }

    private static func engineRequest(_ request: TokenRequest) -> EngineRequest {
        var result = EngineRequest(
            tokens: request.prompt, maximumTokens: request.maximumTokens, sampling: request.sampling,
            stopTokens: request.stopTokens)
        (result.rules, result.scored, result.constraint) = (request.rules, request.alternatives, request.constraint)
        (result.guesses, result.tenant, result.namespace) = (request.guesses, request.tenant, request.tenant)
        return result
    }
}

extension Engine {
    /// The engine's load, and counts of its work.
    var load: EngineLoad {
        let metrics = metrics
        var load = EngineLoad(running: metrics.running, waiting: metrics.waiting)
        (load.guessedTokens, load.acceptedTokens) = (metrics.draftedTokens, metrics.acceptedTokens)
        (load.texts, load.textPasses) = (metrics.texts, metrics.textPasses)
        (load.usedBlocks, load.blocks, load.preemptions) = (metrics.usedBlocks, metrics.blocks, metrics.preemptions)
        return load
    }
}
