import MartletDistributed
import MartletLayers
import MartletModels
import MartletPlanning

/// The cut of a model that learns into the runs of a pipeline: the parameters that each of them reads, and which stage
/// steps on them.
struct PipelineCut {
    let mesh: RankMesh
    let schedule: PipelineSchedule
    let runs: ModelRuns
    /// For each parameter, by name, the runs that read it, ascending.
    private let readers: [String: [Int]]

    /// - Throws: ``RunError`` for a model that cannot be cut so, with what stands in the way.
    init(
        _ architecture: Architecture, _ entries: [Inventory.Entry], _ adapters: AdapterLayout,
        _ ranks: ModelLearner.Ranks
    ) throws(RunError) {
        (mesh, schedule) = (ranks.mesh, ranks.layout.schedule)
        let count = ranks.mesh.stages * ranks.layout.schedule.interleave
        let layers = ModelRuns.layerCount(architecture)
        guard count <= layers else {
            throw RunError(
                "--layout cuts the model into \(count) runs of layers, but it has \(layers) layers")
        }
        if let joint = ModelRuns.joins(architecture) {
            throw RunError("pipeline= cannot cut this model: \(joint)")
        }
        let runs = ModelRuns(architecture) { layers in
            (0..<count).map { PipelineOrder.layers(layers, run: $0, of: count) }
        }
        self.runs = runs
        var readers: [String: [Int]] = [:]
        for entry in entries { readers[entry.name] = runs.readers(of: entry) }
        for (index, target) in adapters.targets.enumerated() {
            let weights = adapters.places.filter { $0.value.target == index }.keys
            let union = Set(weights.flatMap { readers[$0] ?? [] }).sorted()
            (readers[target.down], readers[target.up]) = (union, union)
        }
        self.readers = readers
    }

    func stage(ofRun run: Int) -> Int { run % mesh.stages }

    /// Returns whether a stage computes layer `layer` of a stack.
    func hasLayer(_ layer: Int, of stack: ParameterPlace.Stack, stage: Int) -> Bool {
        runs.run(ofLayer: layer, in: stack).map { self.stage(ofRun: $0) == stage } ?? false
    }

    func readers(of entry: Inventory.Entry) -> [Int] { readers[entry.name] ?? [] }

    func isHeld(_ entry: Inventory.Entry, byStage stage: Int) -> Bool {
        readers(of: entry).contains { self.stage(ofRun: $0) == stage }
    }

    /// - Throws: ``RunError`` naming a trained parameter that is read in places where its gradients cannot be added up
    ///   in the order of one rank, and the remedy; a number of passes that the schedule cannot take; an order that
    ///   waits for itself.
    func check(_ entries: [Inventory.Entry], _ ranks: ModelLearner.Ranks) throws {
        for entry in entries {
            let readers = readers(of: entry)
            guard !readers.isEmpty else {
                throw RunError(
                    "pipeline= cannot train \(entry.name.quoted): no layer is known that reads it")
            }
            guard readers.count > 1 else { continue }
            guard Set(readers.map(stage(ofRun:))).count == readers.count else {
                throw RunError(
                    "interleave= cannot train \(entry.name.quoted), which two runs of one stage read: leave out interleave"
                )
            }
            guard ranks.passes == ranks.shards else {
                throw RunError(
                    "\(entry.name.quoted) is read by \(readers.count) runs of the pipeline, so that each pass must be a shard: set batch.shards to batch.accumulation, \(ranks.passes), or leave out pipeline="
                )
            }
        }
        let passes = ranks.passes / mesh.lanes
        guard schedule.interleave == 1 || passes % mesh.stages == 0 else {
            throw RunError(
                "interleave= needs passes that its \(mesh.stages) stages divide, but a lane has \(passes) in a step (batch.accumulation)"
            )
        }
        do {
            let stuck = messages(entries).stuck(in: try order(microBatches: passes))
            guard stuck.isEmpty else {
                throw RunError("--layout: stages \(stuck) of the pipeline would wait without end")
            }
        } catch let error as PipelineOrderError { throw RunError("--layout: \(error)") }
    }

    /// The messages between stages of a model with these trained parameters.
    func messages(_ entries: [Inventory.Entry]) -> PipelineMessages {
        let shared = entries.map(readers(of:)).enumerated().filter { $1.count > 1 }
        return PipelineMessages(
            runs: runs.count, stages: mesh.stages, shared: shared.map { (parameter: $0, readers: $1) })
    }

    /// The order of all stages, checked: complete, and without a deadlock.
    ///
    /// - Throws: ``PipelineOrderError``.
    func order(microBatches: Int) throws(PipelineOrderError) -> PipelineOrder {
        let order = schedule.order(stages: mesh.stages, microBatches: microBatches)
        let times = PipelineSimulation.Times(
            runs: runs.count, forward: 1, backwardInput: 1, backwardWeight: 1)
        _ = try PipelineSimulation(order, times)
        return order
    }
}
