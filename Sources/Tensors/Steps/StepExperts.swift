import CMartletKernels

/// A mixture of experts inside a step (arXiv:1701.06538): a router's product, and gated feed-forwards of which each row
/// passes a few.
package struct StepExperts {
    package var active: Int
    /// Renormalization of the routing weights: true where the weights of a row's experts are divided by their sum.
    package var renormalised: Bool
    package var activation: Activation
    package var router: StepMatrix
    /// Gate, up and down projections, one of each per expert.
    package var gates, ups, downs: [StepMatrix]
    /// An expert that all rows pass, and the projection to its weight.
    package var shared: (weight: StepMatrix, gate: StepMatrix, up: StepMatrix, down: StepMatrix)?

    /// Creates the mixture; nil where the experts' matrices are of different types.
    package init?(
        active: Int, renormalised: Bool, activation: Activation, router: StepMatrix, gates: [StepMatrix],
        ups: [StepMatrix], downs: [StepMatrix],
        shared: (weight: StepMatrix, gate: StepMatrix, up: StepMatrix, down: StepMatrix)?
    ) {
        let (inner, outer) = (Set((gates + ups).map(\.matrix.type)), Set(downs.map(\.matrix.type)))
        guard inner.count == 1, outer.count == 1, gates.count == ups.count, gates.count == downs.count else {
            return nil
        }
        if let shared, shared.gate.matrix.type != shared.up.matrix.type { return nil }
        (self.active, self.renormalised, self.activation) = (active, renormalised, activation)
        (self.router, self.gates, self.ups, self.downs, self.shared) = (router, gates, ups, downs, shared)
    }
}

extension StepPlan {
    /// Adds the phases that route norm(x) to experts and compute their results, for `addExperts` to mix.
    package func route(_ parts: StepExperts, norm: StepNorm?) {
        let place = unsafe Storage(bytes: MemoryLayout<martlet_step_experts>.stride)
        held.append(place)
        let kernel = unsafe place.mutablePointer.assumingMemoryBound(to: martlet_step_experts.self)
        unsafe kernel.initialize(to: martlet_step_experts())
        unsafe describe(parts, kernel)
        unsafe score(parts, norm: norm, kernel)
        var route = unsafe martlet_step_phase()
        unsafe (route.kind, route.inputs, route.experts) = (MARTLET_STEP_ROUTE, width, kernel)
        unsafe (route.x, route.norm) = (UnsafePointer(vector(ofRow: 0)), self.kernel(norm))
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
        unsafe (phase.y, phase.norm) = (vector(ofRow: 0), kernel(join))
        unsafe phases.append(phase)
    }

    /// The router's product, and that of the shared expert's weight.
    private func score(_ parts: StepExperts, norm: StepNorm?, _ kernel: UnsafeMutablePointer<martlet_step_experts>) {
        var product = unsafe begin(
            MARTLET_STEP_PRODUCT, [parts.router] + (parts.shared.map { [$0.weight] } ?? []), norm: norm)
        let scores = unsafe buffer(.scores, parts.gates.count)
        unsafe product.matrices.0 = self.kernel(parts.router, into: scores)
        unsafe kernel.pointee.scores = UnsafePointer(scores)
        if let shared = parts.shared {
            let weight = unsafe buffer(.sharedGate, 1)
            unsafe product.matrices.1 = self.kernel(shared.weight, into: weight)
            unsafe kernel.pointee.shared_gate = UnsafePointer(weight)
        }
        unsafe phases.append(product)
    }

    /// Sizes, matrices, and memory for what a pass finds out.
    private func describe(_ parts: StepExperts, _ kernel: UnsafeMutablePointer<martlet_step_experts>) {
        let (count, hidden) = (parts.gates.count, parts.ups[0].matrix.outputs)
        unsafe (kernel.pointee.count, kernel.pointee.active) = (count, parts.active)
        unsafe (kernel.pointee.hidden, kernel.pointee.renormalised) = (hidden, parts.renormalised)
        unsafe kernel.pointee.gates = matrices(parts.gates)
        unsafe kernel.pointee.ups = matrices(parts.ups)
        unsafe kernel.pointee.downs = matrices(parts.downs)
        func words(_ matrix: StepMatrix) -> Int {
            (martlet_activation_bytes(matrix.matrix.type.kernelType, matrix.matrix.inputs) + 3) / 4 * parts.active
        }
        unsafe kernel.pointee.normed = buffer(.expertInputs, width)
        unsafe kernel.pointee.prepared = UnsafeMutableRawPointer(buffer(.expertsPrepared, words(parts.gates[0])))
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
