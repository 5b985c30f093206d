import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The step of an engine: rows of all sequences that the scheduler chose, one pass, one token or several for each.
extension EngineLoop {
    /// The result of a run of a step.
    struct RunResult {
        let id: Int
        /// The number of positions whose keys and values stay: all but those of wrong guesses.
        var accepted: Int
        /// The reason why the text ends, if it does.
        var finish: FinishReason?
    }

    func step() {
        // A step takes up to eight times as long where many wait for their first token beside few whose gaps grow.
        let budget = pace.rows(within: options.stepMilliseconds / 1_000 * min(8, max(1, 2 * scheduler.crowding)))
        let began = ContinuousClock.now
        let drafts = guess()
        let guessed = ContinuousClock.now
        scheduler.plan(&schedule, budget: budget, drafts: drafts)
        let texts = schedule.takeUncut()
        let sourceRows = prepare()
        rows.removeAll(keepingCapacity: true)
        sortRuns()
        for run in schedule.runs { append(run) }
        guard !(rows.isEmpty && texts.isEmpty) else { return }
        if !rows.isEmpty { commit(steps.logits(rows, &cache)) }
        let textRows = texts.isEmpty ? 0 : read(texts)
        let now = ContinuousClock.now
        note((now - guessed).seconds, readWhole: textRows + sourceRows)
        metrics.steps += 1
        metrics.rows += rows.count + textRows
        metrics.busySeconds += (now - began).seconds
        metrics.lastStep = now
    }

    /// Learns from what a step took, in which so many rows of whole texts were read.
    private func note(_ seconds: Double, readWhole: Int) {
        var readRows = readWhole
        for run in schedule.runs { readRows += run.positions.count - run.wanted.count }
        pace.note(seconds, rows: readRows)
        if readRows == 0, schedule.admitted.isEmpty, textRuns == schedule.runs.count {
            costs.note(rows: rows.count, isVerifying: rows.count > textRuns, seconds: seconds)
        }
    }

    /// Requests begin and are preempted; blocks change hands.
    ///
    /// - Returns: how many rows of sources were read.
    private func prepare() -> Int {
        for id in schedule.preempted {
            cache.remove(SequenceID(id))
            forget(search: id)
            sequences[id]?.preemptions += 1
            metrics.preemptions += 1
        }
        // Before anything is written: a block may be the source of a copy and somebody else's next.
        for copy in schedule.copies { blocks.copy(copy) }
        for (id, known) in schedule.admitted where sequences[id] != nil {
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
        return parts.isEmpty ? 0 : begin(searches: schedule.admitted.map(\.id))
    }

    /// Puts the runs of texts first, so that their rows are the first ones, and leaves out searches that could not
    /// begin.
    private func sortRuns() {
        textRuns = schedule.runs.count
        guard !parts.isEmpty else { return }
        let texts = schedule.runs.filter { sequences[$0.id] != nil }
        textRuns = texts.count
        schedule.runs = texts + schedule.runs.filter { searches[$0.id] != nil }
    }

    /// The rows of a run, in blocks that are lent to it.
    private func append(_ run: StepSchedule.Run) {
        if let search = searches[run.id] { return append(run, of: search) }
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
                    isWanted: run.wanted.contains(position), adapter: own.request.adapter))
        }
        let prompt = own.request.tokens.count
        metrics.promptTokens += max(0, min(prompt, run.positions.upperBound) - run.positions.lowerBound)
    }

    // MARK: Tokens

    /// Chooses tokens for every wanted row, and tells the scheduler.
    private func commit(_ logits: Tensor?) {
        results.removeAll(keepingCapacity: true)
        for run in schedule.runs where run.wanted.isEmpty {
            results.append(RunResult(id: run.id, accepted: run.positions.count))
        }
        if let logits {
            var wanted = 0
            for run in schedule.runs.prefix(textRuns) { wanted += run.wanted.count }
            let own = wanted < logits.shape.rows ? logits.rows(0..<wanted) : logits
            // Choices of one row each are made on all threads; those behind guesses depend on one another.
            if schedule.runs.allSatisfy({ $0.drafts == 0 }) { choose(own) } else { verify(own) }
            if !searches.isEmpty { advance(logits, from: wanted) }
        }
        for result in results {
            scheduler.commit(result.id, accepted: result.accepted, finished: result.finish != nil)
        }
        for result in results {
            if let finish = result.finish { self.finish(result.id, finish) } else { rereadOutgrown(result.id) }
        }
    }

    private func verify(_ logits: Tensor) {
        var row = 0
        for run in schedule.runs.prefix(textRuns) where !run.wanted.isEmpty {
            if let result = verify(run, logits, row: row) { results.append(result) }
            row += run.wanted.count
        }
    }

    private func choose(_ logits: Tensor) {
        choices.removeAll(keepingCapacity: true)
        var failures: [Int: any Error] = [:]
        for (row, run) in schedule.runs.prefix(textRuns).lazy.filter({ !$0.wanted.isEmpty }).enumerated() {
            do {
                try checkNumbers(logits, row: row, of: run.id)
                choices.append(try choice(run.id))
            } catch {
                failures[run.id] = error
                choices.append(SamplingRow(Sampler(.greedy), position: 0))
            }
        }
        SamplingRow.next(choices, logits, into: &tokens)
        var row = 0
        for run in schedule.runs.prefix(textRuns) where !run.wanted.isEmpty {
            row += 1
            if let error = failures[run.id] {
                fail(run.id, error as? GenerationError ?? EngineError.unsatisfiable("\(error)"))
                continue
            }
            let finish = write(tokens[row - 1], to: run.id)
            guard sequences[run.id] != nil else { continue }
            results.append(RunResult(id: run.id, accepted: run.positions.count, finish: finish))
        }
    }

    /// - Throws: ``GenerationError`` where no logit of the row is a number.
    func checkNumbers(_ logits: Tensor, row: Int, of id: Int) throws(GenerationError) {
        if logits.lacksNumbers(row: row) { throw steps.undefinedLogits(after: scheduler.tokens(of: id)) }
    }

    func choice(_ id: Int) throws -> SamplingRow {
        let isRuled = sequences[id]?.request.rules.isEmpty == false
        guard let row = try sequences[id]?.choice(after: isRuled ? scheduler.tokens(of: id) : []) else {
            preconditionFailure("EngineLoop: request \(id) is not known")
        }
        return row
    }

    /// Hands a token on, and those that must follow it.
    ///
    /// - Returns: why the text ends, if it does; a request whose constraint fails is gone then.
    func write(_ token: SampledToken, to id: Int) -> FinishReason? {
        if let finish = handOn(token, to: id) { return finish }
        do {
            return try writeForced(id)
        } catch {
            fail(id, EngineError.unsatisfiable("\(error)"))
            return nil
        }
    }

    private func handOn(_ token: SampledToken, to id: Int) -> FinishReason? {
        guard let output = sequences[id]?.output else { return nil }
        let finish = sequences[id]?.take(token.token)
        if finish == .stop, sequences[id]?.request.stopTokens.contains(token.token) == true { return finish }
        scheduler.append(token.token, to: id)
        metrics.generatedTokens += 1
        let (reader, isFirst) = output.append(token)
        if isFirst {
            metrics.firstTokens += 1
            metrics.secondsToFirstToken += (ContinuousClock.now - (sequences[id]?.submitted ?? .now)).seconds
        }
        wake(reader)
        return finish
    }

    /// Writes the tokens that must come now, which no step has to choose.
    ///
    /// - Returns: why the text ends with them, if it does.
    /// - Throws: why the constraint cannot say.
    func writeForced(_ id: Int) throws -> FinishReason? {
        for token in try sequences[id]?.forcedTokens() ?? [] {
            if let finish = handOn(SampledToken(token: token), to: id) { return finish }
        }
        return nil
    }
}
