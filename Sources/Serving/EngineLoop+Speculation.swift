import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// Speculative decoding: what is guessed before a step, and what came of it.
extension EngineLoop {
    /// Guesses for all who want them, while so few write that more rows cost little: by prompt look-up, and by the
    /// draft model for those whose text has not occurred before.
    ///
    /// - Returns: how many were guessed for whom.
    func guess() -> [Int: Int] {
        guard sequences.count < scheduler.limits.freeRows else { return [:] }
        var writing = 0
        for id in scheduler.running where scheduler.isWriting(id) { writing += 1 }
        guard writing > 0 else { return [:] }
        // Rows that are left for guesses are shared evenly.
        let most = max(1, scheduler.limits.freeRows / writing - 1)
        var (counts, wishes): ([Int: Int], [DraftModel.Wish]) = ([:], [])
        for id in scheduler.running where scheduler.isWriting(id) && sequences[id]?.guesses != nil {
            let tokens = scheduler.tokens(of: id)
            if let count = lookUp(id, after: tokens, writing: writing, most: most) {
                counts[id] = count
            } else if let wish = wish(id, after: tokens, writing: writing, most: most) {
                wishes.append(wish)
            }
        }
        guard let draft, !wishes.isEmpty else { return counts }
        let made = draft.guess(wishes)
        if let seconds = made.passSeconds { costs.note(passSeconds: seconds) }
        for wish in made.wishes {
            counts[wish.id] = wish.guessed.count
            sequences[wish.id]?.guess(wish.guessed, from: .draft)
        }
        return counts
    }

    /// The number of tokens that were found earlier in the text; nil for none.
    private func lookUp(_ id: Int, after tokens: [Int32], writing: Int, most: Int) -> Int? {
        let count = sequences[id]?.count(.lookup, sequences: writing, options.guesses, costs) ?? 0
        return sequences[id]?.lookUp(min(count, most), after: tokens)
    }

    private func wish(_ id: Int, after tokens: [Int32], writing: Int, most: Int) -> DraftModel.Wish? {
        guard draft != nil, let count = sequences[id]?.count(.draft, sequences: writing, options.guesses, costs),
            let own = sequences[id], min(count, most, own.room - 1) > 0
        else { return nil }
        return DraftModel.Wish(
            id: id, tokens: tokens, count: min(count, most, own.room - 1), sampler: own.sampler, extent: own.extent)
    }

    /// The tokens chosen behind the last token and behind each accepted guess. Each choice is the one of plain
    /// decoding, by the same logits, mask and random number, so the text is the same token by token. Tokens that a
    /// constraint forces are compared like chosen ones.
    ///
    /// - Returns: how the run ended; nil where its request is gone.
    func verify(_ run: StepSchedule.Run, _ logits: Tensor, row: Int) -> RunResult? {
        let drafts = (sequences[run.id]?.drafts ?? []).prefix(run.drafts)
        var result = RunResult(id: run.id, accepted: run.positions.count - run.drafts)
        var (right, goesOn) = (0, true)
        do {
            while goesOn {
                try checkNumbers(logits, row: row + right, of: run.id)
                let known = scheduler.tokens(of: run.id).count
                result.finish = write(try choice(run.id).next(logits, row: row + right), to: run.id)
                let new = scheduler.tokens(of: run.id).dropFirst(known)
                let equal = zip(new, drafts.dropFirst(right)).prefix { $0 == $1 }.count
                goesOn = result.finish == nil && !new.isEmpty && equal == new.count
                if result.finish == nil { right += equal }
            }
        } catch {
            fail(run.id, error as? GenerationError ?? EngineError.unsatisfiable("\(error)"))
        }
        result.accepted += right
        metrics.draftedTokens += run.drafts
        metrics.acceptedTokens += right
        sequences[run.id]?.note(guessed: run.drafts, accepted: right)
        guard sequences[run.id] != nil else { return nil }
        if run.drafts > 0 { cache.truncate(SequenceID(run.id), to: run.positions.lowerBound + result.accepted) }
        return result
    }
}
