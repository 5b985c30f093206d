import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors

/// A beam search about one source, whose beams are rows of the common step.
struct RunningSearch {
    var item: BeamItem
    let source: [Int32]
    /// The sequences of the cache that the beams are; one until they part.
    var beams: [SequenceID]
    /// No text is longer, so that sums do not overflow.
    private static let longest = 1 << 40

    /// Blocks of each table that a search of `options` about `source` tokens holds at most.
    static func blocks(
        _ options: BeamSearch.Options, prompt: Int, source: Int, _ layout: KeyValueLayout, context: Int?
    ) -> Int {
        let length = min(prompt + min(max(0, options.maximumTokens), longest), context ?? longest)
        let own = options.beams * BlockLayout.blocks(for: length)
        // Cross-attention's keys and values are counted in blocks of the first table.
        let across = BlockLayout.blocks(for: source) * (layout.source?.bytes ?? 0)
        let unit = max(1, layout.tables.first?.bytes ?? 1)
        return own + (across + unit - 1) / unit
    }
}

/// Searches of an encoder-decoder: the source is read once, when a search begins, and its beams are forks that share
/// what they have in common.
extension EngineLoop {
    func take(_ request: SearchRequest, _ parts: EngineParts) {
        for id in parts.ids { self.parts[id] = parts }
        for (id, source) in zip(parts.ids, request.sources) where self.parts[id] != nil {
            var scheduled = ScheduledRequest(
                id: id, tokens: request.prompt, maximumNewTokens: request.options.maximumTokens)
            let blocks = RunningSearch.blocks(
                request.options, prompt: request.prompt.count, source: source.count, steps.layout,
                context: architecture.context)
            scheduled.kind = .search(blocks: blocks, sourceRows: source.count)
            (scheduled.tenant, scheduled.priority) = (request.tenant, request.priority)
            submit(scheduled)
        }
    }

    /// Reads the sources of searches that begin, all in one pass.
    func begin(searches ids: [Int]) {
        var begun: [(id: Int, source: [Int32], item: BeamItem)] = []
        for id in ids {
            guard let parts = parts[id], case .search(let request, _) = parts.work else { continue }
            mailbox.begun(parts.ids.lowerBound)
            begun.append(
                (
                    id, request.sources[id - parts.ids.lowerBound],
                    BeamItem(prompt: request.prompt, request.options, context: architecture.context)
                ))
        }
        guard !begun.isEmpty else { return }
        do {
            let source = try steps.encode(begun.map(\.source))
            for search in begun {
                let beam = newBeam()
                cache.add(beam)
                searches[search.id] = RunningSearch(item: search.item, source: search.source, beams: [beam])
            }
            steps.attach(source, to: begun.flatMap { searches[$0.id]?.beams ?? [] }, &cache)
            metrics.promptTokens += source.hidden.shape.rows
            metrics.texts += begun.count
            metrics.textPasses += 1
        } catch {
            for search in begun { fail(search.id, error) }
        }
    }

    private func newBeam() -> SequenceID {
        lastBeam -= 1
        return SequenceID(lastBeam)
    }

    /// The rows of a search in this step: of its prompt, or one of each beam.
    func append(_ run: StepSchedule.Run, of search: RunningSearch) {
        for (beam, tokens) in zip(search.beams, search.item.sequences) {
            for position in run.positions {
                rows.append(
                    StepRow(
                        token: tokens[position], position: position, extent: tokens.count, sequence: beam,
                        isWanted: run.wanted.contains(position)))
            }
        }
    }

    /// One token more for every search whose rows are in `logits`.
    func advance(_ logits: Tensor) {
        // One that fails may take others with it, whose rows are there all the same.
        let counts = schedule.runs.map { $0.wanted.isEmpty ? 0 : searches[$0.id]?.beams.count ?? 0 }
        var row = 0
        for (run, count) in zip(schedule.runs, counts) where count > 0 {
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
