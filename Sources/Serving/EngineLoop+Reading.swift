import MartletGeneration
import MartletModels
import MartletTensors

/// Texts that are read whole: those of all callers in common passes, between steps that write.
extension EngineLoop {
    func take(_ request: ReadingRequest, _ parts: EngineParts) {
        for id in parts.ids { self.parts[id] = parts }
        for (id, text) in zip(parts.ids, request.texts) where self.parts[id] != nil {
            var scheduled = ScheduledRequest(id: id, tokens: text.tokens, maximumNewTokens: 0)
            (scheduled.kind, scheduled.tenant, scheduled.priority) = (.uncut, request.tenant, request.priority)
            submit(scheduled)
        }
    }

    /// Reads the texts of `runs` in one pass.
    ///
    /// - Returns: how many rows that were.
    func read(_ runs: [StepSchedule.Run]) -> Int {
        var (texts, adapters) = ([WholeText](), [Int?]())
        var owners: [(parts: EngineParts, output: WorkOutput<ReadText>, id: Int)] = []
        for run in runs {
            guard let parts = parts[run.id], case .reading(let request, let output) = parts.work else { continue }
            texts.append(request.texts[run.id - parts.ids.lowerBound])
            adapters.append(request.adapter)
            owners.append((parts, output, run.id))
        }
        guard !texts.isEmpty else { return 0 }
        for (owner, result) in zip(owners, steps.read(texts, adapters: adapters)) {
            scheduler.commit(owner.id, accepted: result.hidden.shape.rows)
            wake(owner.output.put(result, at: owner.id - owner.parts.ids.lowerBound))
            finishPart(owner.parts)
        }
        let rows = texts.reduce(0) { $0 + $1.tokens.count }
        metrics.promptTokens += rows
        metrics.texts += texts.count
        metrics.textPasses += 1
        return rows
    }
}
