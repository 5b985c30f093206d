import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// One step: rows of all sequences that the scheduler chose, one pass, one token or several for each.
extension EngineLoop {
    func step() {
        let began = ContinuousClock.now
        let budget = Int(min(2_048, max(16, options.stepMilliseconds / 1_000 * rowsPerSecond)))
        let schedule = scheduler.plan(budget: budget, drafts: guess())
        prepare(schedule)
        rows.removeAll(keepingCapacity: true)
        for run in schedule.runs { append(run) }
        guard !rows.isEmpty else { return }
        let logits = steps.logits(rows, &cache)
        commit(schedule, logits)
        let seconds = (ContinuousClock.now - began).seconds
        if rows.count > options.maximumSequences {
            rowsPerSecond += (Double(rows.count) / max(seconds, 1e-6) - rowsPerSecond) / 4
        }
        metrics.steps += 1
        metrics.rows += rows.count
        metrics.busySeconds += seconds
        metrics.lastStep = .now
    }

    /// Guesses for all who want them, while so few write that more rows cost little.
    private func guess() -> [Int: Int] {
        var counts: [Int: Int] = [:]
        for (id, own) in sequences where own.request.guesses {
            let isSpare = sequences.count < scheduler.limits.freeRows
            if isSpare { sequences[id]?.guess(after: scheduler.tokens(of: id)) }
            let count = isSpare ? sequences[id]?.drafts.count ?? 0 : 0
            if count > 0 { counts[id] = count }
        }
        return counts
    }

    /// Requests begin and are preempted; blocks change hands.
    private func prepare(_ schedule: StepSchedule) {
        for id in schedule.preempted {
            cache.remove(SequenceID(id))
            sequences[id]?.preemptions += 1
            metrics.preemptions += 1
        }
        // Before anything is written: a block may be the source of a copy and somebody else's next.
        for copy in schedule.copies { blocks.copy(copy) }
        for (id, known) in schedule.admitted {
            let sequence = SequenceID(id)
            cache.add(sequence)
            for (table, numbers) in scheduler.blocks(of: id).enumerated() {
                for (index, number) in numbers.enumerated().prefix(BlockLayout.blocks(for: known)) {
                    guard let number else { continue }
                    cache.lend(blocks.block(number, of: table), to: sequence, table: table, at: index)
                }
            }
            cache.resume(sequence, at: known)
            begin(id, shared: known)
        }
    }

    /// The rows of a run, in blocks that are lent to it.
    private func append(_ run: StepSchedule.Run) {
        guard let own = sequences[run.id] else { return }
        let id = SequenceID(run.id)
        let tokens = scheduler.tokens(of: run.id)
        for (table, numbers) in scheduler.blocks(of: run.id).enumerated() {
            let last = BlockLayout.blocks(for: run.positions.upperBound)
            // A block that begins in this run is new: what it holds is another request's.
            for index in BlockLayout.blocks(for: run.positions.lowerBound)..<last {
                guard index < numbers.count, let number = numbers[index] else { continue }
                let block = blocks.block(number, of: table)
                block.clear()
                cache.lend(block, to: id, table: table, at: index)
            }
        }
        for position in run.positions {
            let token = position < tokens.count ? tokens[position] : own.drafts[position - tokens.count]
            rows.append(
                StepRow(
                    token: token, position: position, extent: own.extent, sequence: id,
                    isWanted: run.wanted.contains(position)))
        }
        let prompt = own.request.tokens.count
        metrics.promptTokens += max(0, min(prompt, run.positions.upperBound) - run.positions.lowerBound)
    }

    // MARK: Tokens

    /// Chooses tokens for every wanted row, and tells the scheduler.
    private func commit(_ schedule: StepSchedule, _ logits: Tensor?) {
        var results: [(outcome: StepOutcome, finish: FinishReason?)] = []
        for run in schedule.runs where run.wanted.isEmpty {
            results.append((StepOutcome(id: run.id, accepted: run.positions.count), nil))
        }
        if let logits {
            // Choices of one row each are made on all threads; those behind drafts depend on one another.
            let writers = schedule.runs.filter { !$0.wanted.isEmpty && sequences[$0.id] != nil }
            if writers.allSatisfy({ $0.drafts == 0 }) {
                results += chosen(writers, logits)
            } else {
                var row = 0
                for run in writers {
                    if let result = verified(run, logits, row: row) { results.append(result) }
                    row += run.wanted.count
                }
            }
        }
        scheduler.commit(results.map(\.outcome))
        for (outcome, finish) in results {
            if let finish { self.finish(outcome.id, finish) } else { rereadOutgrown(outcome.id) }
        }
    }

    private func chosen(
        _ runs: [StepSchedule.Run], _ logits: Tensor
    ) -> [(outcome: StepOutcome, finish: FinishReason?)] {
        var (choices, failures): ([SamplingRow], [Int: any Error]) = ([], [:])
        for run in runs {
            do {
                choices.append(try choice(run.id))
            } catch {
                failures[run.id] = error
                choices.append(SamplingRow(Sampler(.greedy), position: 0))
            }
        }
        let tokens = SamplingRow.next(choices, logits)
        return zip(runs, tokens).compactMap { run, token in
            if let error = failures[run.id] {
                fail(run.id, EngineError.unsatisfiable("\(error)"))
                return nil
            }
            var outcome = StepOutcome(id: run.id, accepted: run.positions.count)
            let finish = write(token, to: &outcome)
            return sequences[run.id] == nil ? nil : (outcome, finish)
        }
    }

    private func choice(_ id: Int) throws -> SamplingRow {
        guard var own = sequences[id] else { preconditionFailure("EngineLoop: request \(id) is not known") }
        defer { sequences[id] = own }
        return try own.choice(after: own.request.rules.isEmpty ? [] : scheduler.tokens(of: id))
    }

    /// What is chosen behind the last token and behind each draft that was right.
    private func verified(
        _ run: StepSchedule.Run, _ logits: Tensor, row: Int
    ) -> (outcome: StepOutcome, finish: FinishReason?)? {
        let drafts = sequences[run.id]?.drafts ?? []
        var outcome = StepOutcome(id: run.id, accepted: run.positions.count - run.drafts)
        do {
            for index in 0...run.drafts {
                let token = try choice(run.id).next(logits, row: row + index)
                if let finish = write(token, to: &outcome) { return (outcome, finish) }
                guard index < run.drafts, token.token == drafts[index] else { break }
                outcome.accepted += 1
            }
        } catch {
            fail(run.id, EngineError.unsatisfiable("\(error)"))
            return nil
        }
        guard run.drafts > 0, sequences[run.id] != nil else { return sequences[run.id] == nil ? nil : (outcome, nil) }
        let right = outcome.accepted - (run.positions.count - run.drafts)
        sequences[run.id]?.note(guessed: run.drafts, accepted: right)
        metrics.draftedTokens += run.drafts
        metrics.acceptedTokens += right
        cache.truncate(SequenceID(run.id), to: run.positions.lowerBound + outcome.accepted)
        return (outcome, nil)
    }

    /// Hands a token on, and those that must follow it.
    ///
    /// - Returns: why the text ends, if it does; a request whose constraint fails is gone then.
    private func write(_ token: SampledToken, to outcome: inout StepOutcome) -> FinishReason? {
        let id = outcome.id
        if let finish = write(token, of: id, &outcome.appended) {
            outcome.finished = true
            return finish
        }
        do {
            let (forced, finish) = try writeForced(id)
            outcome.appended += forced
            outcome.finished = finish != nil
            return finish
        } catch {
            fail(id, EngineError.unsatisfiable("\(error)"))
            return nil
        }
    }

    private func write(_ token: SampledToken, of id: Int, _ appended: inout [Int32]) -> FinishReason? {
        guard let output = sequences[id]?.output else { return nil }
        let finish = sequences[id]?.take(token.token)
        if finish == .stop, sequences[id]?.request.stopTokens.contains(token.token) == true { return finish }
        appended.append(token.token)
        metrics.generatedTokens += 1
        let (reader, isFirst) = output.append(token)
        if isFirst {
            metrics.firstTokens += 1
            metrics.secondsToFirstToken += (ContinuousClock.now - (sequences[id]?.submitted ?? .now)).seconds
        }
        wake(reader)
        return finish
    }

    /// The tokens that must come now, which no step has to choose.
    ///
    /// - Throws: why the constraint cannot say.
    func writeForced(_ id: Int) throws -> (tokens: [Int32], finish: FinishReason?) {
        var tokens: [Int32] = []
        for token in try sequences[id]?.forcedTokens() ?? [] {
            let forced = SampledToken(token: token)
            if let finish = write(forced, of: id, &tokens) { return (tokens, finish) }
        }
        return (tokens, nil)
    }
}
