internal import MartletLayers

/// Every way to spread a training run over devices that fits, by time; and why the neighbours of the best do not do
/// better.
package struct LayoutSearch: Sendable {
    /// A layout with what it takes.
    package struct Candidate: Sendable, Hashable {
        package let layout: ParallelLayout
        package let time: IterationTime
        /// The memory of the fullest device in bytes.
        package let bytes: Double
    }

    /// A layout one step from the best, and what is wrong with it.
    package struct Neighbour: Sendable, Hashable {
        package let layout: ParallelLayout
        package let reason: String
    }

    /// The result of a search: the layouts that fit, and how many were tried.
    package struct Result: Sendable {
        /// The layouts that fit, the fastest first.
        package let fitting: [Candidate]
        /// The Pareto front: those of `fitting` than which none is both faster and smaller.
        package let pareto: [Candidate]
        package let neighbours: [Neighbour]
        package let tried: Int
        package let tooLarge: Int
        /// The smallest memory of any layout tried, when none fits.
        package let smallest: Candidate?
    }

    let blueprint: Blueprint
    let model: IterationModel
    let devices: Int
    let globalBatch: Int
    let tokens: Int
    let budget: Double
    let recipe: TrainingFootprint.Recipe

    /// - Parameter memory: bytes of a device; nil: the hardware's. A twentieth is left to fragmentation and
    ///   communication.
    package init(
        _ blueprint: Blueprint, hardware: Hardware, devices: Int, globalBatch: Int, tokens: Int,
        recipe: TrainingFootprint.Recipe = .init(), memory: Double? = nil
    ) throws(PlanningError) {
        let execution = try ExecutionModel(hardware)
        (self.blueprint, self.devices, self.globalBatch) = (blueprint, max(devices, 1), max(globalBatch, 1))
        (self.tokens, self.recipe) = (tokens, recipe)
        model = IterationModel(blueprint, model: execution, recipe: recipe, tokens: tokens)
        var memory = memory
        if memory == nil { memory = try hardware.require(.memory) }
        budget = 0.95 * (memory ?? 0)
    }

    package func run() -> Result {
        var fitting: [Candidate] = []
        var (tried, tooLarge) = (0, 0)
        var smallest: Candidate?
        for layout in layouts() {
            tried += 1
            let candidate = evaluate(layout)
            guard let candidate else { continue }
            if candidate.bytes < smallest?.bytes ?? .infinity { smallest = candidate }
            if candidate.bytes <= budget { fitting.append(candidate) } else { tooLarge += 1 }
        }
        fitting.sort { ($0.time.seconds, $0.bytes) < ($1.time.seconds, $1.bytes) }
        return Result(
            fitting: fitting, pareto: LayoutSearch.pareto(fitting), neighbours: fitting.first.map(neighbours) ?? [],
            tried: tried, tooLarge: tooLarge, smallest: smallest)
    }

    private func evaluate(_ layout: ParallelLayout) -> Candidate? {
        guard let time = model.time(layout, globalBatch: globalBatch) else { return nil }
        let microBatches = layout.microBatches(globalBatch: globalBatch) ?? 1
        return Candidate(layout: layout, time: time, bytes: model.bytes(layout, microBatches: microBatches))
    }

    // MARK: - The space

    private var attentions: [Blueprint.Attention] {
        blueprint.stacks.flatMap(\.layers).flatMap { [$0.attention] + ($0.crossAttention.map { [$0] } ?? []) }
    }

    private var expertCount: Int {
        blueprint.stacks.flatMap(\.layers).map { layer in
            if case .experts(let count, _, _, _) = layer.feedForward { count } else { 1 }
        }.max() ?? 1
    }

    private func divisors(_ number: Int, upTo limit: Int) -> [Int] {
        (1...max(1, min(number, limit))).filter { number % $0 == 0 }
    }

    /// The widths of tensor parallelism that divide every attention's heads; key heads may be copied.
    private var tensorWidths: [Int] {
        let domain = Int(model.model.hardware[.linkDomain] ?? 1)
        return divisors(devices, upTo: max(domain, 1)).filter { width in
            attentions.allSatisfy { $0.queryHeads % width == 0 }
        }
    }

    private func layouts() -> [ParallelLayout] {
        var layouts: [ParallelLayout] = []
        let layers = model.groups.layerCount
        let experts = expertCount
        for tensor in tensorWidths {
            for (pipeline, context) in splits(devices / tensor, layers: layers) {
                let data = devices / tensor / pipeline / context
                guard globalBatch % data == 0 else { continue }
                let expertWidths = experts > 1 ? divisors(data, upTo: experts).filter { experts % $0 == 0 } : [1]
                let interleaves = pipeline > 1 ? [1, 2, 3, 4].filter { layers % (pipeline * $0) == 0 || $0 == 1 } : [1]
                for microBatch in [1, 2, 4, 8, 16] where (globalBatch / data) % microBatch == 0 {
                    let microBatches = globalBatch / data / microBatch
                    for interleave in interleaves where interleave == 1 || microBatches % pipeline == 0 {
                        layouts += variants(tensor, pipeline, context, data, expertWidths, interleave, microBatch)
                    }
                }
            }
        }
        return layouts
    }

    /// Stages of a pipeline with devices that share a sequence: only of texts so long that each still has a few
    /// thousand rows.
    private func splits(_ devices: Int, layers: Int) -> [(pipeline: Int, context: Int)] {
        let widths = [1, 2, 4, 8, 16].filter { $0 == 1 || (tokens % $0 == 0 && tokens / $0 >= 4096) }
        return divisors(devices, upTo: max(layers, 1)).flatMap { pipeline in
            widths.filter { devices / pipeline % $0 == 0 }.map { (pipeline, $0) }
        }
    }

    private func variants(
        _ tensor: Int, _ pipeline: Int, _ context: Int, _ data: Int, _ experts: [Int], _ interleave: Int,
        _ microBatch: Int
    ) -> [ParallelLayout] {
        // Sharding gradients or weights beyond the optimizer would be gathered for every microbatch of a pipeline.
        let stages: [ShardingStage] =
            data == 1 ? [.none] : pipeline > 1 ? [.none, .optimizer] : ShardingStage.allCases
        let recomputations: [Recomputation] =
            recipe.activations.kernel == .plain ? Recomputation.allCases : [.none, .full]
        return experts.flatMap { expert in
            stages.flatMap { sharding in
                recomputations.map { recomputation in
                    ParallelLayout(
                        tensor: tensor, pipeline: pipeline, data: data, context: context, expert: expert,
                        sequenceParallel: tensor > 1 ? .present : .absent,
                        schedule: .alternating(interleave: interleave),
                        sharding: sharding, recomputation: recomputation, microBatch: microBatch)
                }
            }
        }
    }

    // MARK: - What is reported

    private static func pareto(_ sorted: [Candidate]) -> [Candidate] {
        var (kept, least): ([Candidate], Double) = ([], .infinity)
        for candidate in sorted where candidate.bytes < least {
            kept.append(candidate)
            least = candidate.bytes
        }
        return kept
    }

    /// The neighbours of the best layout, one step from it in each direction, with the reason it is not better.
    private func neighbours(of best: Candidate) -> [Neighbour] {
        var steps: [ParallelLayout] = []
        func step(_ change: (inout ParallelLayout) -> Void) {
            var layout = best.layout
            change(&layout)
            if layout != best.layout { steps.append(layout) }
        }
        for (double, halve) in [
            (\ParallelLayout.tensor, \ParallelLayout.data), (\.data, \.tensor), (\.pipeline, \.data),
            (\.data, \.pipeline),
            (\.tensor, \.pipeline), (\.pipeline, \.tensor), (\.context, \.data), (\.data, \.context),
        ] where best.layout[keyPath: halve] % 2 == 0 {
            step {
                $0[keyPath: double] *= 2
                $0[keyPath: halve] /= 2
                $0.sequenceParallel = $0.tensor > 1 ? .present : .absent
                if $0.pipeline == 1 { $0.schedule = .alternating(interleave: 1) }
            }
        }
        step { $0.microBatch *= 2 }
        if best.layout.microBatch > 1 { step { $0.microBatch /= 2 } }
        for recomputation in Recomputation.allCases { step { $0.recomputation = recomputation } }
        for stage in ShardingStage.allCases where best.layout.data > 1 { step { $0.sharding = stage } }
        return steps.map { Neighbour(layout: $0, reason: reason($0, best)) }
    }

    private func reason(_ layout: ParallelLayout, _ best: Candidate) -> String {
        let domain = Int(model.model.hardware[.linkDomain] ?? 1)
        if layout.tensor > domain { return "\(layout.tensor) devices are more than the fast link joins (\(domain))" }
        if let attention = attentions.first(where: { $0.queryHeads % layout.tensor != 0 }) {
            return "\(layout.tensor) does not divide \(attention.queryHeads) heads"
        }
        if layout.pipeline > model.groups.layerCount {
            return "\(layout.pipeline) stages are more than \(model.groups.layerCount) layers"
        }
        if tokens % layout.context != 0 { return "\(layout.context) does not divide \(tokens) tokens" }
        let chunks = layout.pipeline * layout.schedule.interleave
        if layout.schedule.interleave > 1, model.groups.layerCount % chunks != 0 {
            return
                "\(model.groups.layerCount) layers do not come out even over \(layout.pipeline) × \(layout.schedule.interleave) groups"
        }
        guard let candidate = evaluate(layout) else {
            return "the batch of \(globalBatch) does not divide by \(layout.data) × \(layout.microBatch)"
        }
        if candidate.bytes > budget {
            return "\(readableBytes(candidate.bytes)) do not fit \(readableBytes(budget))"
        }
        let slower = candidate.time.seconds / best.time.seconds - 1
        return slower > 5e-4
            ? "\(fixed(100 * slower, 1)) % slower"
            : "as fast, with \(readableBytes(candidate.bytes)) against \(readableBytes(best.bytes))"
    }
}

extension IterationModel {
    /// The memory of the fullest device in bytes, from the sums made once; the same as ``TrainingFootprint/total``.
    func bytes(_ layout: ParallelLayout, microBatches: Int) -> Double {
        let activations = profile.bytes(layout) * Activations.inFlight(layout, microBatches: microBatches)
        return DeviceShare(groups, layout: layout).bytes + activations + profile.recomputedLayer(layout)
            + TrainingFootprint.logitBytes(blueprint, recipe, layout, workload.tokens)
    }
}
