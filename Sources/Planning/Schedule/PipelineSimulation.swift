/// A pipeline's step, event by event: each stage does its items in their order, each as soon as what it needs has come.
package struct PipelineSimulation: Sendable {
    /// Seconds of the parts of a step.
    package struct Times: Sendable {
        /// The seconds of each run of layers, from the front.
        package var forward, backwardInput, backwardWeight: [Double]
        /// The seconds of a send from one stage to another.
        package var send: Double

        package init(forward: [Double], backwardInput: [Double], backwardWeight: [Double], send: Double = 0) {
            (self.forward, self.backwardInput, self.backwardWeight) = (forward, backwardInput, backwardWeight)
            self.send = send
        }

        /// Runs that are all alike.
        package init(runs: Int, forward: Double, backwardInput: Double, backwardWeight: Double, send: Double = 0) {
            func all(_ time: Double) -> [Double] { Array(repeating: time, count: runs) }
            self.init(
                forward: all(forward), backwardInput: all(backwardInput), backwardWeight: all(backwardWeight),
                send: send)
        }
    }

    /// A stage's share of the step.
    package struct Stage: Sendable, Hashable {
        package fileprivate(set) var busy = 0.0
        /// Waiting before its first item, between items, and after its last.
        package fileprivate(set) var before = 0.0
        package fileprivate(set) var between = 0.0
        package fileprivate(set) var after = 0.0
        /// The peak of the activations that it holds at once, in those of one microbatch in all of its layers.
        package fileprivate(set) var inFlight = 0.0
    }

    /// An item at work on a stage, from its start to its end in seconds.
    package struct Event: Sendable, Hashable {
        package let stage: Int
        package let item: PipelineOrder.Item
        package let start, end: Double
    }

    /// The time of the step, until the last stage is done.
    package let seconds: Double
    /// The stages from the front of the model.
    package let stages: [Stage]
    /// The events in the order of their starts, stages of one instant in theirs; none unless they were asked for.
    package let events: [Event]

    /// The part of the step that the average stage waits, of what it works.
    package var bubble: Double {
        let busy = stages.reduce(0) { $0 + $1.busy } / Double(max(1, stages.count))
        return busy > 0 ? seconds / busy - 1 : 0
    }

    /// - Parameters:
    ///   - limit: the most activations that a stage may hold, in those of one microbatch; nil: any.
    ///   - keepsEvents: whether ``events`` are kept.
    /// - Throws: ``PipelineOrderError`` for an order that lacks an item or has one twice, that waits for itself, or
    ///   that holds too much.
    package init(
        _ order: PipelineOrder, _ times: Times, limit: Double? = nil, keepsEvents: Bool = false
    ) throws(PipelineOrderError) {
        try PipelineSimulation.checkComplete(order)
        var run = PipelineRun(order, times, keepsEvents: keepsEvents)
        run.advance()
        if let stuck = run.stuck { throw PipelineOrderError(stuck) }
        (seconds, stages, events) = run.finished()
        for (number, stage) in stages.enumerated() {
            guard let limit, stage.inFlight > limit else { continue }
            throw PipelineOrderError(
                "stage \(number) would hold the activations of \(stage.inFlight) microbatches, where \(limit) fit")
        }
    }

    private static func checkComplete(_ order: PipelineOrder) throws(PipelineOrderError) {
        let wanted = order.microBatches * order.chunks
        for (stage, items) in order.items.enumerated() {
            guard Set(items).count == items.count else { throw PipelineOrderError("stage \(stage) does an item twice") }
            func count(_ kind: PipelineOrder.Kind) -> Int { items.count { $0.kind == kind } }
            let (inputs, weights) = (count(.backwardInput), count(.backwardWeight))
            let isInside = items.allSatisfy {
                (0..<order.microBatches).contains($0.microBatch) && (0..<order.chunks).contains($0.chunk)
            }
            guard isInside, count(.forward) == wanted, count(.backward) + inputs == wanted, inputs == weights else {
                throw PipelineOrderError(
                    "stage \(stage) has \(count(.forward)) forward and \(count(.backward) + inputs) backward passes of \(wanted), and \(weights) of \(inputs) for weights"
                )
            }
        }
    }

    /// The explanation of why a stage waits, in words.
    package func explanation(ofStage number: Int) -> String {
        let stage = stages[number]
        func share(_ time: Double) -> String { "\(fixed(100 * time / max(seconds, .leastNormalMagnitude), 1)) %" }
        return
            "stage \(number) works \(share(stage.busy)), waits \(share(stage.before)) for its first microbatch, \(share(stage.between)) between passes and \(share(stage.after)) after its last"
    }
}

/// The state of a simulation.
private struct PipelineRun {
    private let order: PipelineOrder
    private let times: PipelineSimulation.Times
    /// The end of each pass of a run of layers, in seconds; nil before it. By run, then microbatch.
    private var forwardEnds, backwardEnds: [[Double?]]
    private var next: [Int]
    private var clocks: [Double]
    private var held: [Double]
    private var stages: [PipelineSimulation.Stage]
    private let keepsEvents: Bool
    private var events: [PipelineSimulation.Event] = []

    init(_ order: PipelineOrder, _ times: PipelineSimulation.Times, keepsEvents: Bool) {
        (self.order, self.times, self.keepsEvents) = (order, times, keepsEvents)
        let runs = order.stages * order.chunks
        precondition(times.forward.count == runs, "simulation: times of \(times.forward.count) runs, there are \(runs)")
        forwardEnds = Array(repeating: Array(repeating: nil, count: order.microBatches), count: runs)
        backwardEnds = forwardEnds
        next = Array(repeating: 0, count: order.stages)
        clocks = Array(repeating: 0, count: order.stages)
        held = clocks
        stages = Array(repeating: .init(), count: order.stages)
    }

    /// Lets every stage go on as long as any can.
    mutating func advance() {
        var waiting = Array(0..<order.stages)
        while !waiting.isEmpty {
            var woken: Set<Int> = []
            for stage in waiting {
                var moved = false
                while next[stage] < order.items[stage].count, step(stage) { moved = true }
                if moved { woken.formUnion([(stage + 1) % order.stages, (stage + order.stages - 1) % order.stages]) }
            }
            waiting = woken.sorted()
        }
    }

    /// Does the next item of a stage, where what it needs is known.
    private mutating func step(_ stage: Int) -> Bool {
        let item = order.items[stage][next[stage]]
        let run = item.chunk * order.stages + stage
        guard let ready = ready(item, run, stage) else { return false }
        let start = max(ready, clocks[stage])
        let end = start + duration(item.kind, run)
        if next[stage] == 0 { stages[stage].before = start } else { stages[stage].between += start - clocks[stage] }
        stages[stage].busy += end - start
        switch item.kind {
        case .forward:
            forwardEnds[run][item.microBatch] = end
            held[stage] += 1 / Double(order.chunks)
            stages[stage].inFlight = max(stages[stage].inFlight, held[stage])
        case .backward, .backwardInput: backwardEnds[run][item.microBatch] = end
        case .backwardWeight: break
        }
        if item.kind == .backward || item.kind == .backwardWeight { held[stage] -= 1 / Double(order.chunks) }
        if keepsEvents { events.append(.init(stage: stage, item: item, start: start, end: end)) }
        clocks[stage] = end
        next[stage] += 1
        return true
    }

    /// The time at which an item could begin; nil while that is not known.
    private func ready(_ item: PipelineOrder.Item, _ run: Int, _ stage: Int) -> Double? {
        func sent(_ end: Double?, from other: Int) -> Double? {
            end.map { $0 + (other % order.stages == stage ? 0 : times.send) }
        }
        switch item.kind {
        case .forward:
            return run == 0 ? 0 : sent(forwardEnds[run - 1][item.microBatch], from: run - 1)
        case .backward, .backwardInput:
            guard let own = forwardEnds[run][item.microBatch] else { return nil }
            guard run + 1 < backwardEnds.count else { return own }
            return sent(backwardEnds[run + 1][item.microBatch], from: run + 1)
        case .backwardWeight: return backwardEnds[run][item.microBatch]
        }
    }

    private func duration(_ kind: PipelineOrder.Kind, _ run: Int) -> Double {
        switch kind {
        case .forward: times.forward[run]
        case .backward: times.backwardInput[run] + times.backwardWeight[run]
        case .backwardInput: times.backwardInput[run]
        case .backwardWeight: times.backwardWeight[run]
        }
    }

    /// The reason why the first stage that cannot go on waits; nil where all is done.
    var stuck: String? {
        guard let stage = (0..<order.stages).first(where: { next[$0] < order.items[$0].count }) else { return nil }
        let item = order.items[stage][next[stage]]
        return
            "stage \(stage) waits without end to do \(item.kind) of microbatch \(item.microBatch), run \(item.chunk): what it needs is done later"
    }

    func finished() -> (Double, [PipelineSimulation.Stage], [PipelineSimulation.Event]) {
        let seconds = clocks.reduce(0, max)
        var stages = stages
        for stage in stages.indices { stages[stage].after = seconds - clocks[stage] }
        return (seconds, stages, events.sorted { ($0.start, $0.stage, $0.end) < ($1.start, $1.stage, $1.end) })
    }
}
