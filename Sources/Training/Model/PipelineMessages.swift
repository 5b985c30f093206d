import MartletPlanning

/// The messages between stages of a pipeline, in their order: known to both sides from the schedule alone, so that
/// messages need no names.
struct PipelineMessages {
    enum Message: Hashable {
        /// The message that run `run` hands on to the next one.
        case states(run: Int, microBatch: Int)
        /// The gradients of what run `run` was handed.
        case slopes(run: Int, microBatch: Int)
        /// The sum so far of a parameter's gradient, from run `run` to the one before that reads it too.
        case sum(parameter: Int, run: Int, microBatch: Int)
    }

    let runs, stages: Int
    /// The parameters that several runs read, by number, with these runs, ascending.
    let shared: [(parameter: Int, readers: [Int])]

    func stage(ofRun run: Int) -> Int { run % stages }

    /// The messages that follow an item of `stage`, in the order of sending.
    func messages(of item: PipelineOrder.Item, stage: Int) -> [(message: Message, target: Int)] {
        let (run, number) = (item.chunk * stages + stage, item.microBatch)
        let slopes: [(message: Message, target: Int)] =
            run > 0 ? [(.slopes(run: run, microBatch: number), self.stage(ofRun: run - 1))] : []
        let sums = readersBefore(run).map { parameter, reader in
            (
                message: Message.sum(parameter: parameter, run: run, microBatch: number),
                target: self.stage(ofRun: reader)
            )
        }
        switch item.kind {
        case .forward:
            return run + 1 < runs
                ? [(.states(run: run, microBatch: number), self.stage(ofRun: run + 1))] : []
        case .backward: return slopes + sums
        case .backwardInput: return slopes
        case .backwardWeight: return sums
        }
    }

    /// The messages that an item of `stage` waits for.
    private func needs(of item: PipelineOrder.Item, stage: Int) -> [Message] {
        let (run, number) = (item.chunk * stages + stage, item.microBatch)
        let slopes: [Message] = run + 1 < runs ? [.slopes(run: run + 1, microBatch: number)] : []
        let sums = readersBehind(run).map { Message.sum(parameter: $0, run: $1, microBatch: number) }
        switch item.kind {
        case .forward: return run > 0 ? [.states(run: run - 1, microBatch: number)] : []
        case .backward: return slopes + sums
        case .backwardInput: return slopes
        case .backwardWeight: return sums
        }
    }

    /// The stages that would wait without end in an order: none where every message is sent in time.
    func stuck(in order: PipelineOrder) -> [Int] {
        var (sent, next) = (Set<Message>(), Array(repeating: 0, count: stages))
        var hasMoved = true
        while hasMoved {
            hasMoved = false
            for stage in 0..<stages {
                while next[stage] < order.items[stage].count {
                    let item = order.items[stage][next[stage]]
                    guard sent.isSuperset(of: needs(of: item, stage: stage)) else { break }
                    sent.formUnion(messages(of: item, stage: stage).map(\.message))
                    next[stage] += 1
                    hasMoved = true
                }
            }
        }
        return (0..<stages).filter { next[$0] < order.items[$0].count }
    }

    /// The messages that `stage` receives from `origin` in a step, in their order.
    func expected(by stage: Int, from origin: Int, _ order: PipelineOrder) -> [Message] {
        order.items[origin].flatMap { messages(of: $0, stage: origin) }.filter { $0.target == stage }
            .map(\.message)
    }

    /// The shared parameters of a run, each with the reader before it.
    func readersBefore(_ run: Int) -> [(parameter: Int, reader: Int)] {
        shared.compactMap { parameter, readers in
            guard let place = readers.firstIndex(of: run), place > 0 else { return nil }
            return (parameter, readers[place - 1])
        }
    }

    /// The shared parameters of a run, each with the reader behind it, whose sum comes first.
    func readersBehind(_ run: Int) -> [(parameter: Int, reader: Int)] {
        shared.compactMap { parameter, readers in
            guard let place = readers.firstIndex(of: run), place + 1 < readers.count else { return nil }
            return (parameter, readers[place + 1])
        }
    }
}
