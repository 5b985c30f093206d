/// The order of a pipeline, what its stages do and when each: a schedule as data.
///
/// The layers are cut into `chunks` runs for each stage; run c of stage s is number c · stages + s from the front, so
/// that a microbatch passes every stage `chunks` times each way.
package struct PipelineOrder: Sendable, Hashable {
    /// The kind of work of an item: forward, or a part of the backward pass.
    package enum Kind: Sendable, Hashable {
        case forward
        /// Gradients of the inputs and of the weights.
        case backward
        /// Gradients of the inputs alone, which the stage before waits for.
        case backwardInput
        /// Gradients of the weights alone, which nobody waits for.
        case backwardWeight
    }

    /// One microbatch's work in one run of layers.
    package struct Item: Sendable, Hashable {
        package let kind: Kind
        /// The number of the microbatch in the step.
        package let microBatch: Int
        /// The number of the run among those of the stage.
        package let chunk: Int

        package init(_ kind: Kind, _ microBatch: Int, chunk: Int = 0) {
            (self.kind, self.microBatch, self.chunk) = (kind, microBatch, chunk)
        }
    }

    /// The number of runs of layers that a stage has.
    package let chunks: Int
    /// The number of microbatches of a step.
    package let microBatches: Int
    /// The items of each stage, one after the other.
    package let items: [[Item]]

    package init(chunks: Int = 1, microBatches: Int, items: [[Item]]) {
        (self.chunks, self.microBatches, self.items) = (chunks, microBatches, items)
    }

    package var stages: Int { items.count }

    /// The run of a stage's item: its number from the front of the model.
    package func run(of item: Item, stage: Int) -> Int { item.chunk * stages + stage }

    /// The layers of run `run` where `count` layers are cut into `runs`: the first ones have those that do not come out
    /// even.
    package static func layers(_ count: Int, run: Int, of runs: Int) -> Range<Int> {
        let (share, rest) = count.quotientAndRemainder(dividingBy: runs)
        let first = run * share + min(run, rest)
        return first..<first + share + (run < rest ? 1 : 0)
    }

    /// All forward, then all backward: every microbatch is in flight at once (GPipe, arXiv:1811.06965).
    package static func allForwardFirst(stages: Int, microBatches: Int, chunks: Int = 1) -> PipelineOrder {
        func items(_ kind: Kind, _ chunk: Int) -> [Item] {
            (0..<microBatches).map { Item(kind, $0, chunk: chunk) }
        }
        let all =
            (0..<chunks).flatMap { items(.forward, $0) } + (0..<chunks).reversed().flatMap { items(.backward, $0) }
        return PipelineOrder(
            chunks: chunks, microBatches: microBatches, items: Array(repeating: all, count: stages))
    }

    /// One forward, one backward in turn once the pipeline is full (arXiv:1806.03377).
    package static func alternating(stages: Int, microBatches: Int) -> PipelineOrder {
        let items = (0..<stages).map { stage -> [Item] in
            let ahead = min(stages - 1 - stage, microBatches)
            var items = (0..<ahead).map { Item(.forward, $0) }
            for number in ahead..<max(ahead, microBatches) {
                items += [Item(.forward, number), Item(.backward, number - ahead)]
            }
            return items + ((microBatches - ahead)..<microBatches).map { Item(.backward, $0) }
        }
        return PipelineOrder(microBatches: microBatches, items: items)
    }

    /// The interleaved 1F1B schedule, over several runs of layers for each stage (arXiv:2104.04473 §2.2).
    ///
    /// - Precondition: the stages divide the microbatches.
    package static func interleaved(stages: Int, microBatches: Int, chunks: Int) -> PipelineOrder {
        precondition(microBatches % stages == 0, "interleaved: \(stages) stages, \(microBatches) microbatches")
        guard chunks > 1 else { return alternating(stages: stages, microBatches: microBatches) }
        let total = microBatches * chunks
        // Groups of as many microbatches as there are stages go through all chunks, one chunk after the other.
        func item(_ number: Int, _ kind: Kind) -> Item {
            let (group, within) = number.quotientAndRemainder(dividingBy: stages * chunks)
            let chunk = within / stages
            return Item(
                kind, group * stages + within % stages, chunk: kind == .forward ? chunk : chunks - 1 - chunk)
        }
        let items = (0..<stages).map { stage -> [Item] in
            let ahead = min(total, 2 * (stages - 1 - stage) + (chunks - 1) * stages)
            var items = (0..<ahead).map { item($0, .forward) }
            for number in ahead..<total { items += [item(number, .forward), item(number - ahead, .backward)] }
            return items + ((total - ahead)..<total).map { item($0, .backward) }
        }
        return PipelineOrder(chunks: chunks, microBatches: microBatches, items: items)
    }

    /// Backward passes in two, gradients of weights where a stage would wait, with no more in memory than
    /// ``alternating`` (ZB-H1, arXiv:2401.10241 §2).
    package static func zeroBubble(stages: Int, microBatches: Int) -> PipelineOrder {
        let items = (0..<stages).map { stage -> [Item] in
            let ahead = min(stages - 1 - stage, microBatches)
            var items = (0..<ahead).map { Item(.forward, $0) }
            var weights = 0
            for number in 0..<microBatches {
                if ahead + number < microBatches { items.append(Item(.forward, ahead + number)) }
                items.append(Item(.backwardInput, number))
                // Later stages have less to wait for at the end, and put off fewer.
                guard number >= stage else { continue }
                items.append(Item(.backwardWeight, weights))
                weights += 1
            }
            return items + (weights..<microBatches).map { Item(.backwardWeight, $0) }
        }
        return PipelineOrder(microBatches: microBatches, items: items)
    }
}

extension PipelineSchedule {
    /// The order in which stages work by this schedule. Interleaved runs of a number of microbatches that the stages do
    /// not divide go all forward first.
    package func order(stages: Int, microBatches: Int) -> PipelineOrder {
        switch self {
        case .allForwardFirst: return .allForwardFirst(stages: stages, microBatches: microBatches)
        case .zeroBubble: return .zeroBubble(stages: stages, microBatches: microBatches)
        case .alternating where interleave == 1: return .alternating(stages: stages, microBatches: microBatches)
        case .alternating where microBatches % stages == 0:
            return .interleaved(stages: stages, microBatches: microBatches, chunks: interleave)
        case .alternating:
            return .allForwardFirst(stages: stages, microBatches: microBatches, chunks: interleave)
        }
    }
}

/// An order that no pipeline can run.
package struct PipelineOrderError: Error, Hashable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
