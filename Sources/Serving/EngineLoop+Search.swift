import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors

/// Searches: what is written about is read once, and its beams are forks that share what they have in common, in blocks
/// that are reserved from the beginning to the end. A search that is preempted begins anew.
extension EngineLoop {
    func take(_ request: SearchRequest, _ parts: EngineParts) {
        for id in parts.ids { self.parts[id] = parts }
        for (id, text) in zip(parts.ids, request.texts) where self.parts[id] != nil {
            var scheduled = ScheduledRequest(
                id: id, tokens: text.prompt, maximumNewTokens: request.options.maximumTokens)
            scheduled.kind = .search(
                blocks: RunningSearch.blocks(request.options, text, steps.layout, architecture),
                sourceRows: text.source.count)
            (scheduled.tenant, scheduled.priority) = (request.tenant, request.priority)
            submit(scheduled)
        }
    }

    /// Begins the searches among `ids`.
    ///
    /// - Returns: how many rows of sources were read.
    func begin(searches ids: [Int]) -> Int {
        var begun: [Int] = []
        for id in ids {
            guard let parts = parts[id], case .search(let request, _) = parts.work else { continue }
            mailbox.begun(parts.ids.lowerBound)
            let (text, beam) = (request.texts[id - parts.ids.lowerBound], newBeam())
            // Beams take as much memory as the reserved blocks have, from the same pool.
            for (table, numbers) in scheduler.blocks(of: id).enumerated() {
                for case .some(let number) in numbers { blocks.release(number, of: table) }
            }
            cache.add(beam)
            searches[id] = RunningSearch(
                item: BeamItem(prompt: text.prompt, request.options, context: architecture.context), text: text,
                beams: [beam])
            begun.append(id)
        }
        return begun.isEmpty || steps.layout.source == nil ? 0 : readSources(of: begun)
    }

    /// Reads the sources of searches that begin, all in one pass.
    private func readSources(of ids: [Int]) -> Int {
        do {
            let source = try steps.encode(ids.compactMap { searches[$0]?.text.source })
            steps.attach(source, to: ids.flatMap { searches[$0]?.beams ?? [] }, &cache)
            metrics.promptTokens += source.hidden.shape.rows
            metrics.texts += ids.count
            metrics.textPasses += 1
            return source.hidden.shape.rows
        } catch {
            for id in ids { fail(id, error) }
            return 0
        }
    }

    /// Lets go of a search's beams.
    func forget(search id: Int) {
        for beam in searches.removeValue(forKey: id)?.beams ?? [] { cache.remove(beam) }
    }

    private func newBeam() -> SequenceID {
        lastBeam -= 1
        return SequenceID(lastBeam)
    }

    /// The rows of a search in this step: of its prompt, or one of each beam; all of each where it has outgrown the
    /// length after which positions rotate otherwise.
    func append(_ run: StepSchedule.Run, of search: RunningSearch) {
        for (beam, tokens) in zip(search.beams, search.item.sequences) {
            cache.forget(beam, outgrowing: architecture.rereadsBeyond, extent: tokens.count)
            for position in cache.length(of: beam)..<run.positions.upperBound {
                rows.append(
                    StepRow(
                        token: tokens[position], position: position, extent: tokens.count, sequence: beam,
                        isWanted: run.wanted.contains(position)))
            }
        }
        guard search.text.source.isEmpty else { return }
        let read = min(search.text.prompt.count, run.positions.upperBound) - run.positions.lowerBound
        metrics.promptTokens += max(0, read)
    }

    /// One token more for every search whose rows are in `logits`, from row `first` on.
    func advance(_ logits: Tensor, from first: Int) {
        let runs = schedule.runs.dropFirst(textRuns)
        // One that fails may take others with it, whose rows are there all the same.
        let counts = runs.map { $0.wanted.isEmpty ? 0 : searches[$0.id]?.beams.count ?? 0 }
        var row = first
        for (run, count) in zip(runs, counts) where count > 0 {
            let own = row..<row + count
            row = own.upperBound
            guard var search = searches[run.id] else { continue }
            if let broken = own.first(where: { logits.lacksNumbers(row: $0) }) {
                let tokens = search.item.sequences[broken - own.lowerBound]
                fail(run.id, steps.undefinedLogits(after: tokens, source: search.source))
                continue
            }
            let parents = search.item.step(logits.rows(own), source: search.source)
            metrics.generatedTokens += 1
            if search.item.isDone {
                finish(search, run.id)
                continue
            }
            let heirs = parents.map { parent in
                let heir = newBeam()
                cache.fork(search.beams[parent], as: heir)
                return heir
            }
            for beam in search.beams { cache.remove(beam) }
            search.beams = heirs
            searches[run.id] = search
            // Which token it was, the beams know.
            scheduler.append(0, to: run.id)
            results.append(RunResult(id: run.id, accepted: run.positions.count))
        }
    }

    private func finish(_ search: RunningSearch, _ id: Int) {
        guard let parts = parts[id], case .search(let request, let output) = parts.work else { return }
        forget(part: id)
        wake(output.put(search.item.best(request.options.results), at: id - parts.ids.lowerBound))
        finishPart(parts)
    }
}
