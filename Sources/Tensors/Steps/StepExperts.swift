import CMartletKernels

/// A mixture of experts inside a step (arXiv:1701.06538): a router's product, and feed-forwards of which each row
/// passes a few.
package struct StepExperts {
    /// The choice of experts for a row.
    package enum Choice {
        /// The `active` largest of softmax(scores), weighed by these, where `renormalised` divided by their sum.
        case best(renormalised: Bool)
        /// The routes that this makes of the router's products `[rows, experts]`: `active` for each row.
        case other((Tensor) -> [ExpertRoute])
    }

    /// An expert that all rows pass, and the projection to its weight; without, it weighs 1.
    package typealias Shared = (weight: StepMatrix?, gate: StepMatrix, up: StepMatrix, down: StepMatrix)

    package let active: Int
    package let choice: Choice
    package let activation: Activation
    package let router: StepMatrix
    /// Up and down projections, one of each per expert, and gates where experts have them.
    package let gates: [StepMatrix]?
    package let ups, downs: [StepMatrix]
    package var shared: Shared?
    /// The limit of gates and of what passes them (see `Tensor.clampedGating`).
    package var limit: Float?
    /// True where the weights multiply what experts read, not their results.
    package var weighsInputs = false
    /// The factors of each expert's results, `[experts]`.
    package var scales: Tensor?

    /// Creates the mixture; nil where the experts' matrices are of different types.
    package init?(
        active: Int, _ choice: Choice, activation: Activation, router: StepMatrix, gates: [StepMatrix]?,
        ups: [StepMatrix], downs: [StepMatrix], shared: Shared?
    ) {
        let (inner, outer) = (Set(((gates ?? []) + ups).map(\.matrix.type)), Set(downs.map(\.matrix.type)))
        guard inner.count == 1, outer.count == 1, gates?.count ?? ups.count == ups.count, ups.count == downs.count
        else {
            return nil
        }
        if let shared, shared.gate.matrix.type != shared.up.matrix.type { return nil }
        (self.active, self.choice, self.activation) = (active, choice, activation)
        (self.router, self.gates, self.ups, self.downs, self.shared) = (router, gates, ups, downs, shared)
    }
}

extension StepPlan {
    /// Adds the phases that route norm(x) to experts and compute their results, for `addExperts` to mix.
    ///
    /// - Parameters:
    ///   - routed: the rows that the router reads; nil where they are norm(x).
    ///   - expertNorm: the norm of what experts read, where it is one of their own.
    package func route(
        _ parts: StepExperts, norm: StepNorm?, routed: StepRows? = nil, expertNorm: StepNorm? = nil
    ) {
        let place = unsafe Storage(bytes: MemoryLayout<martlet_step_experts>.stride)
        held.append(place)
        let kernel = unsafe place.mutablePointer.assumingMemoryBound(to: martlet_step_experts.self)
        unsafe kernel.initialize(to: martlet_step_experts())
        unsafe describe(parts, kernel)
        unsafe score(parts, norm: norm, routed, kernel)
        var route = unsafe martlet_step_phase()
        unsafe (route.kind, route.inputs, route.experts) = (MARTLET_STEP_ROUTE, width, kernel)
        unsafe (route.x, route.norm) = (UnsafePointer(vector(ofRow: 0)), self.kernel(expertNorm ?? norm))
        unsafe phases.append(route)
        for kind in [MARTLET_STEP_EXPERTS, MARTLET_STEP_EXPERTS_DOWN] {
            var phase = unsafe martlet_step_phase()
            unsafe (phase.kind, phase.inputs, phase.experts) = (kind, width, kernel)
            unsafe (phase.activation, phase.next_type) = (
                parts.activation.kernel, parts.downs[0].matrix.type.kernelType
            )
            unsafe phases.append(phase)
        }
        guard let shared = parts.shared else { return }
        activate(gate: shared.gate, up: shared.up, parts.activation, norm: norm, for: shared.down)
        guard let last = unsafe phases.last else { return }
        var product = unsafe martlet_step_phase()
        unsafe (product.kind, product.matrix_count) = (MARTLET_STEP_PRODUCT, 1)
        unsafe product.x = UnsafePointer(last.matrices.0.y)
        unsafe product.prepared = UnsafeRawPointer(last.next_prepared)
        unsafe product.inputs = shared.down.matrix.inputs
        let target = unsafe buffer(.shared, width)
        unsafe product.matrices.0 = self.kernel(shared.down, into: target)
        unsafe kernel.pointee.shared = UnsafePointer(target)
        unsafe phases.append(product)
    }

    /// Adds the phase of x + join(Σ weights · results), of the experts that `route` has added last.
    package func addExperts(join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_EXPERTS }) else {
            preconditionFailure("StepPlan: no experts have been asked")
        }
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.inputs, phase.experts) = (MARTLET_STEP_MIX, width, last.experts)
        unsafe (phase.y, phase.norm, phase.accumulate) = (vector(ofRow: 0), kernel(join), true)
        unsafe phases.append(phase)
    }

    /// Adds the phase of Σ weights · results of the experts that `route` has added last, without the shared one;
    /// returns the sums, and the results of the shared one.
    package func mixExperts() -> (sum: StepRows, shared: StepRows) {
        addExperts(join: nil)
        let (sum, shared) = (rows(.mixed, width: width), rows(.shared, width: width))
        let last = unsafe phases.count - 1
        unsafe (phases[last].accumulate, phases[last].y) = (false, sum.floats)
        unsafe phases[last].experts.pointee.shared = nil
        return (sum, shared)
    }

    /// The router's product, and that of the shared expert's weight.
    private func score(
        _ parts: StepExperts, norm: StepNorm?, _ routed: StepRows?,
        _ kernel: UnsafeMutablePointer<martlet_step_experts>
    ) {
        let weight = parts.shared?.weight
        let made = multiply(
            [(parts.router, .scores)] + (weight.map { [($0, .sharedGate)] } ?? []), norm: routed == nil ? norm : nil,
            of: routed)
        unsafe kernel.pointee.scores = UnsafePointer(made[0].floats)
        if weight != nil { unsafe kernel.pointee.shared_gate = UnsafePointer(made[1].floats) }
        guard case .other(let choose) = parts.choice else { return }
        let (experts, weights) = unsafe (kernel.pointee.experts, kernel.pointee.weights)
        compute { [active = parts.active, unowned self] rows in
            var chosen = Array(repeating: 0, count: rows)
            for (expert, route) in choose(made[0].tensor(rows, on: serial)).enumerated() {
                for (row, weight) in zip(route.rows, route.weights) {
                    unsafe experts?[row * active + chosen[row]] = UInt32(expert)
                    unsafe weights?[row * active + chosen[row]] = weight
                    chosen[row] += 1
                }
            }
            precondition(chosen.allSatisfy { $0 == active }, "StepPlan: not \(active) experts for each row")
        }
    }

    /// Sizes, matrices, and memory for what a pass finds out.
    private func describe(_ parts: StepExperts, _ kernel: UnsafeMutablePointer<martlet_step_experts>) {
        let (count, hidden) = (parts.ups.count, parts.ups[0].matrix.outputs)
        unsafe (kernel.pointee.count, kernel.pointee.active) = (count, parts.active)
        switch parts.choice {
        case .best(let renormalised): unsafe kernel.pointee.renormalised = renormalised
        case .other: unsafe kernel.pointee.chosen = true
        }
        unsafe (kernel.pointee.hidden, kernel.pointee.limit) = (hidden, parts.limit ?? 0)
        unsafe kernel.pointee.of_inputs = parts.weighsInputs
        if let scales = parts.scales {
            held.append(scales.storage)
            unsafe kernel.pointee.scales = scales.floats
        }
        unsafe kernel.pointee.gates = parts.gates.map { unsafe matrices($0) }
        unsafe kernel.pointee.ups = matrices(parts.ups)
        unsafe kernel.pointee.downs = matrices(parts.downs)
        func words(_ matrix: StepMatrix) -> Int {
            (martlet_activation_bytes(matrix.matrix.type.kernelType, matrix.matrix.inputs) + 3) / 4 * parts.active
        }
        unsafe kernel.pointee.normed = buffer(.expertInputs, width)
        unsafe kernel.pointee.prepared = UnsafeMutableRawPointer(buffer(.expertsPrepared, words(parts.ups[0])))
            .assumingMemoryBound(to: UInt8.self)
        unsafe kernel.pointee.activated = UnsafeMutableRawPointer(buffer(.expertsActivated, words(parts.downs[0])))
            .assumingMemoryBound(to: UInt8.self)
        unsafe kernel.pointee.results = buffer(.expertResults, width * parts.active)
        let slots = capacity * parts.active
        let probabilities = capacity * count
        let routing = Storage(bytes: (probabilities + 3 * slots + 2 * (slots + 1)) * 4)
        held.append(routing)
        let floats = unsafe routing.mutablePointer.assumingMemoryBound(to: Float.self)
        unsafe (kernel.pointee.probabilities, kernel.pointee.weights) = (floats, floats + probabilities)
        let numbers = unsafe UnsafeMutableRawPointer(floats + probabilities + slots).assumingMemoryBound(
            to: UInt32.self)
        unsafe (kernel.pointee.experts, kernel.pointee.slots) = (numbers, numbers + slots)
        unsafe (kernel.pointee.used, kernel.pointee.first) = (numbers + 2 * slots, numbers + 3 * slots + 1)
    }

    private func matrices(_ parts: [StepMatrix]) -> UnsafePointer<martlet_step_matrix> {
        let storage = unsafe Storage(bytes: parts.count * MemoryLayout<martlet_step_matrix>.stride)
        held.append(storage)
        let places = unsafe storage.mutablePointer.assumingMemoryBound(to: martlet_step_matrix.self)
        for (index, part) in parts.enumerated() { unsafe places[index] = kernel(part, into: nil) }
        return unsafe UnsafePointer(places)
    }
}
