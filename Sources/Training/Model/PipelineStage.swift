import MartletDistributed
import MartletLayers
import MartletModels
import MartletPlanning
import MartletTensors

/// One rank's stage of a pipeline: does the items of a schedule one after the other, and sends what follows from each
/// to the stages that wait for it. It runs any order that the simulator finds complete.
///
/// Gradients are added pass by pass in the order of one rank: every run's backward passes go in the order of the
/// microbatches, and the sum of a parameter that several runs read passes through them, last reader first, as one
/// rank's backward pass comes to them.
final class PipelineStage {
    /// A microbatch: what it reads, and the seed of its random zeros.
    typealias Pass = (batch: Batch, seed: UInt64)

    /// The learner's part: how a pass trains, and the loss that a pass ends with.
    struct Learning {
        let model: Model
        let pass: (_ seed: UInt64) -> TrainingPass
        let loss:
            (_ hidden: Tensor, _ pass: Pass, _ flow: inout GradientFlow) -> (
                loss: Double, roots: [GradientNode]
            )
    }

    /// A forward pass of a run that waits for its backward pass.
    private struct Waiting {
        let inputs: [GradientNode]
        let handed: [Tensor]
        let source: GradientNode?
    }

    private struct Place: Hashable {
        let run, microBatch: Int
    }

    private let cut: PipelineCut
    private let messages: PipelineMessages
    /// The stages of this rank's lane, by number.
    private let lane: any Communicator
    private let parameters: TrainableParameters
    private let gradients: Gradients
    /// For each run of this stage, by its number, the parameters that it alone steps on, and the sums of its shards.
    private var own: [Int: [(parameters: Range<Int>, tree: GradientTree)]] = [:]
    /// Of the present step.
    private var waiting: [Place: Waiting] = [:]
    private var deferred: [Place: DeferredGradients] = [:]
    private var expected: [[PipelineMessages.Message]] = []
    private var arrived: [PipelineMessages.Message: [Tensor]] = [:]
    private var passes: [Pass] = []
    /// The items of the last step, in the order in which they were done.
    private(set) var done: [PipelineOrder.Item] = []

    init(
        _ cut: PipelineCut, _ parameters: TrainableParameters, _ gradients: Gradients,
        over all: any Communicator
    ) {
        (self.cut, self.parameters, self.gradients) = (cut, parameters, gradients)
        let stage = cut.mesh.stage(of: all.rank)
        lane = Subgroup(cut.mesh.pipeline(of: all.rank), of: all)
        let readers = parameters.entries.map(cut.readers(of:))
        messages = cut.messages(parameters.entries)
        for (index, readers) in readers.enumerated() where cut.stage(ofRun: readers[0]) == stage {
            var parts = own[readers[0]] ?? []
            if let last = parts.indices.last, parts[last].parameters.upperBound == index {
                parts[last].parameters = parts[last].parameters.lowerBound..<index + 1
            } else {
                parts.append((index..<index + 1, GradientTree()))
            }
            own[readers[0]] = parts
        }
    }

    private var stage: Int { lane.rank }
    private var lastRun: Int { cut.runs.count - 1 }
    private var device: Device { parameters.device }
    /// True where this stage computes losses.
    var isLast: Bool { stage == cut.mesh.stages - 1 }

    // MARK: - A step

    /// The passes of a step, shard by shard.
    ///
    /// - Returns: the summed loss of each pass, in their order; zeros where another stage knows them.
    /// - Throws: ``CommunicationError``.
    func accumulate(_ shards: [[Pass]], _ learning: Learning) throws -> [Double] {
        passes = shards.flatMap(\.self)
        done = []
        var losses = [Double](repeating: 0, count: passes.count)
        let order = try cut.order(microBatches: passes.count)
        expected = (0..<cut.mesh.stages).map { origin in
            origin == stage ? [] : messages.expected(by: stage, from: origin, order)
        }
        let ends = shards.map(\.count).reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
            .dropFirst()
        func closeShards(behind count: Int, _ run: Int) {
            guard shards.count > 1 else { return }
            for end in ends where end == count { closeShard(run) }
        }
        for run in own.keys.sorted() { closeShards(behind: 0, run) }
        for item in order.items[stage] {
            let place = Place(run: order.run(of: item, stage: stage), microBatch: item.microBatch)
            switch item.kind {
            case .forward: try forward(place, learning)
            case .backward:
                try receiveSums(place, learning.model)
                losses[item.microBatch] += try backward(place, learning)
                try handOnSums(place)
                closeShards(behind: item.microBatch + 1, place.run)
            case .backwardInput:
                deferred[place] = DeferredGradients()
                losses[item.microBatch] += try backward(place, learning)
            case .backwardWeight:
                try receiveSums(place, learning.model)
                deferred.removeValue(forKey: place)?.run()
                try handOnSums(place)
                closeShards(behind: item.microBatch + 1, place.run)
            }
            done.append(item)
        }
        try lane.settle()
        passes = []
        return losses
    }

    private func forward(_ place: Place, _ learning: Learning) throws(CommunicationError) {
        var (nodes, inputs): ([GradientNode], [Tensor]) = ([], [])
        if place.run > 0 {
            let origin = PipelineMessages.Message.states(run: place.run - 1, microBatch: place.microBatch)
            for tensor in try receive(origin, from: cut.stage(ofRun: place.run - 1), learning.model) {
                let node = GradientNode(input: tensor.shape)
                nodes.append(node)
                inputs.append(tensor.tracked(by: node))
            }
        }
        let pass = passes[place.microBatch]
        let rows = learning.model.rows(
            pass.batch.rows, pass.batch.decoderRows, learning.pass(pass.seed))
        let (handed, source) = learning.model.run(place.run, of: cut.runs, inputs, rows, on: device)
        waiting[place] = Waiting(inputs: nodes, handed: handed, source: source)
        guard place.run < lastRun else { return }
        for tensor in handed { try post(tensor, to: cut.stage(ofRun: place.run + 1), .activations) }
    }

    /// - Returns: the summed loss, where this run ends the model.
    private func backward(_ place: Place, _ learning: Learning) throws -> Double {
        guard let forward = waiting.removeValue(forKey: place) else {
            preconditionFailure(
                "pipeline: microbatch \(place.microBatch) comes back to run \(place.run) too early")
        }
        let pass = passes[place.microBatch]
        // Layers that are computed again draw the zeros of this pass once more.
        _ = learning.pass(pass.seed)
        var flow = GradientFlow(into: gradients, deferring: deferred[place], on: device)
        var (loss, roots) = (0.0, forward.handed.compactMap(\.node))
        if place.run == lastRun {
            (loss, roots) = learning.loss(forward.handed[0], pass, &flow)
        } else {
            let slopes = PipelineMessages.Message.slopes(run: place.run + 1, microBatch: place.microBatch)
            let received = try receive(slopes, from: cut.stage(ofRun: place.run + 1), learning.model)
            for (gradient, tensor) in zip(received, forward.handed) {
                flow.add(gradient, to: tensor.node)
            }
        }
        flow.run(from: roots, through: forward.source, stoppingAt: forward.inputs)
        for input in forward.inputs {
            let gradient = flow.gradient(of: input) ?? device.make(input.shape).filled(with: 0)
            try post(gradient, to: cut.stage(ofRun: place.run - 1), .activations)
        }
        return loss
    }

    /// Begins the gradients of shared parameters with what runs behind this one have added.
    private func receiveSums(_ place: Place, _ model: Model) throws(CommunicationError) {
        for (parameter, reader) in messages.readersBehind(place.run) {
            let sum = PipelineMessages.Message.sum(
                parameter: parameter, run: reader, microBatch: place.microBatch)
            let received = try receive(sum, from: cut.stage(ofRun: reader), model)
            ownGradient(parameter).overwrite(with: received[0], adding: false)
        }
    }

    /// Hands those gradients on that a run before this one adds to.
    private func handOnSums(_ place: Place) throws(CommunicationError) {
        for (parameter, reader) in messages.readersBefore(place.run) {
            let sum = device.make([gradients.held[parameter].count])
            sum.overwrite(with: ownGradient(parameter), adding: false)
            gradients.open(parameter..<parameter + 1, anew: true)
            try post(sum, to: cut.stage(ofRun: reader), .gradients)
        }
    }

    // MARK: - Shards

    /// Puts the gradients of a shard's passes aside, for the parameters of one run.
    private func closeShard(_ run: Int) {
        for index in own[run]?.indices ?? 0..<0 {
            guard let indices = own[run]?[index].parameters else { continue }
            own[run]?[index].tree.take(gradients.own(indices), on: device)
            gradients.open(indices, anew: true)
        }
    }

    /// Makes the gradients those of all of this lane's shards, where there are several.
    func sumShards() {
        for run in own.keys.sorted() {
            for index in own[run]?.indices ?? 0..<0 where own[run]?[index].tree.isEmpty == false {
                guard let indices = own[run]?[index].parameters else { continue }
                own[run]?[index].tree.give(to: gradients.own(indices))
            }
        }
    }

    func forgetShards() {
        for run in own.keys { own[run] = own[run]?.map { ($0.parameters, GradientTree()) } }
    }

    /// The part of the gradient of a parameter that is here.
    private func ownGradient(_ parameter: Int) -> Tensor { gradients[parameter].elements(gradients.held[parameter]) }

    // MARK: - Weights

    /// Brings the weights that several stages read from the one that steps on them to the others.
    ///
    /// - Throws: ``CommunicationError``.
    func shareWeights() throws(CommunicationError) {
        for (parameter, readers) in messages.shared {
            let home = cut.stage(ofRun: readers[0])
            for reader in readers.dropFirst() where cut.stage(ofRun: reader) != home {
                if home == stage {
                    try post(parameters.own(parameter), to: cut.stage(ofRun: reader), .weights)
                } else if cut.stage(ofRun: reader) == stage {
                    try receive(into: parameters.own(parameter), from: home, .weights)
                }
            }
        }
        try lane.settle()
    }

    // MARK: - Evaluation

    /// The last hidden states of an untracked pass on the last stage; nil on the others.
    ///
    /// - Throws: ``CommunicationError``.
    func hidden(_ model: Model, _ batch: Batch) throws(CommunicationError) -> Tensor? {
        let rows = model.rows(batch.rows, batch.decoderRows, nil)
        var last: Tensor?
        for run in stride(from: stage, through: lastRun, by: cut.mesh.stages) {
            var inputs: [Tensor] = []
            for shape in run > 0 ? model.shapes(behind: run - 1, of: cut.runs, rows) : [] {
                let tensor = device.make(shape)
                try receive(into: tensor, from: cut.stage(ofRun: run - 1), .evaluation)
                inputs.append(tensor)
            }
            let handed = model.run(run, of: cut.runs, inputs, rows, on: device).handed
            if run == lastRun { last = handed[0] }
            guard run < lastRun else { continue }
            for tensor in handed { try post(tensor, to: cut.stage(ofRun: run + 1), .evaluation) }
        }
        try lane.settle()
        return last
    }

    // MARK: - Messages

    private func post(_ tensor: Tensor, to target: Int, _ purpose: Purpose) throws(CommunicationError) {
        precondition(tensor.type == .f32, "pipeline: \(tensor.type) between stages")
        try unsafe lane.post(
            UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.bytes), of: tensor.storage,
            to: target, purpose)
    }

    private func receive(into tensor: Tensor, from origin: Int, _ purpose: Purpose)
        throws(CommunicationError)
    {
        try unsafe lane.exchange(
            UnsafeRawBufferPointer(start: nil, count: 0), to: nil,
            UnsafeMutableRawBufferPointer(start: tensor.mutableFloats, count: tensor.bytes), from: origin,
            purpose)
    }

    /// Waits for a message; those that its sender has sent before it are kept until they are wanted.
    private func receive(
        _ message: PipelineMessages.Message, from origin: Int, _ model: Model
    ) throws(CommunicationError) -> [Tensor] {
        while arrived[message] == nil {
            precondition(!expected[origin].isEmpty, "pipeline: stage \(origin) sends no \(message)")
            let next = expected[origin].removeFirst()
            let tensors = shapes(of: next, model, passes.map(\.batch)).map { device.make($0) }
            for tensor in tensors { try receive(into: tensor, from: origin, purpose(of: next)) }
            arrived[next] = tensors
        }
        return arrived.removeValue(forKey: message) ?? []
    }

    private func purpose(of message: PipelineMessages.Message) -> Purpose {
        if case .sum = message { .gradients } else { .activations }
    }

    private func shapes(of message: PipelineMessages.Message, _ model: Model, _ batches: [Batch])
        -> [Shape]
    {
        func handed(behind run: Int, _ number: Int) -> [Shape] {
            let batch = batches[number]
            return model.shapes(
                behind: run, of: cut.runs, model.rows(batch.rows, batch.decoderRows, nil))
        }
        return switch message {
        case .states(let run, let number): handed(behind: run, number)
        case .slopes(let run, let number): handed(behind: run - 1, number)
        case .sum(let parameter, _, _): [[gradients.held[parameter].count]]
        }
    }

    /// Bytes that this stage sends in a step over `batches`, by purpose.
    func plannedTraffic(_ model: Model, _ batches: [Batch]) throws -> [Purpose: Int] {
        let order = try cut.order(microBatches: batches.count)
        var bytes: [Purpose: Int] = [:]
        for (message, _) in order.items[stage].flatMap({ messages.messages(of: $0, stage: stage) }) {
            let sizes = shapes(of: message, model, batches).map { 4 * $0.elements }
            bytes[purpose(of: message), default: 0] += sizes.reduce(0, +)
        }
        return bytes
    }

    /// Bytes that this stage sends in a step of so many passes for parameters that several stages read.
    func plannedSums(passes: Int) -> (gradients: Int, weights: Int) {
        var (gradients, weights) = (0, 0)
        for (parameter, readers) in messages.shared {
            let bytes = 4 * self.gradients.held[parameter].count
            if readers.dropFirst().contains(where: { cut.stage(ofRun: $0) == stage }) {
                gradients += passes * bytes
            }
            if cut.stage(ofRun: readers[0]) == stage { weights += (readers.count - 1) * bytes }
        }
        return (gradients, weights)
    }
}
