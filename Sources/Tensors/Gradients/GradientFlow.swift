/// Gradients on their way from a loss to the parameters.
///
/// A node is visited once all that follows it has been: in the reverse of a depth-first order that depends on the graph
/// alone, so sums are formed in the same order on every run and any number of threads.
package struct GradientFlow {
    package let device: Device
    package let gradients: Gradients
    private var pending: [ObjectIdentifier: Tensor] = [:]
    private let deferred: DeferredGradients?
    /// The ranks that have other rows of the pass; nil where all are here.
    package let dividedRows: (any RowRanks)?

    /// - Parameters:
    ///   - deferred: where what comes to parameters waits for its time; nil adds it at once.
    ///   - dividedRows: the ranks that have other rows of the pass.
    package init(
        into gradients: Gradients, deferring deferred: DeferredGradients? = nil,
        dividing dividedRows: (any RowRanks)? = nil, on device: Device
    ) {
        (self.gradients, self.deferred, self.device) = (gradients, deferred, device)
        self.dividedRows = dividedRows
    }

    /// Adds to the gradient of what `node` stands for; nothing where nobody asks.
    ///
    /// - Parameter gradient: as many elements as the node's result. It must not change later.
    package mutating func add(_ gradient: Tensor, to node: GradientNode?) {
        guard let node else { return }
        precondition(
            gradient.shape.elements == node.shape.elements,
            "gradient: \(gradient.shape) for \(node.shape)")
        let gradient = Tensor(
            storage: gradient.storage, byteOffset: gradient.byteOffset, shape: node.shape, type: .f32,
            device: device)
        if let leaf = node.leaf {
            // Whatever this is a sum over, other ranks' rows are not in it.
            if rowRanks(for: node) != nil { gradients.missRows(leaf) }
            arrives { [gradients] in gradients.add(gradient, to: leaf) }
        } else if let sum = pending[ObjectIdentifier(node)] {
            pending[ObjectIdentifier(node)] = sum + gradient
        } else {
            pending[ObjectIdentifier(node)] = gradient
        }
    }

    /// Calls `body` with the place of a parameter's gradient and whether it holds a sum already; for others with a new
    /// tensor.
    package mutating func accumulate(
        _ node: GradientNode?, _ body: @escaping (_ target: Tensor, _ holdsSum: Bool) -> Void
    ) {
        guard let node else { return }
        if let leaf = node.leaf {
            arrives { [gradients] in gradients.accumulate(leaf, body) }
        } else {
            let target = device.make(node.shape)
            body(target, false)
            add(target, to: node)
        }
    }

    private func arrives(_ work: @escaping () -> Void) {
        if let deferred { deferred.append(work) } else { work() }
    }

    /// Runs the rules of all nodes that `roots` depend on, from the gradients added so far, and forgets them on the
    /// way.
    ///
    /// - Parameter ends: nodes whose gradients are only collected; for recomputed layers.
    package mutating func run(from roots: [GradientNode], stoppingAt ends: [GradientNode] = []) {
        var order = GradientFlow.order(roots, ends)
        while let node = order.popLast() {
            guard node.leaf == nil else { continue }
            let gradient = pending.removeValue(forKey: ObjectIdentifier(node))
            let rule = node.take()
            if let gradient, let rule {
                rule(gradient, &self)
            } else if let gradient {
                pending[ObjectIdentifier(node)] = gradient
            }
        }
    }

    /// The backward pass in two parts where a decoder reads an encoder's hidden states, `source`: first all that
    /// follows them, then what they are made of. Sums of parameters that both read so have one order, which does not
    /// depend on where the two are computed.
    package mutating func run(
        from roots: [GradientNode], through source: GradientNode?, stoppingAt ends: [GradientNode] = []
    ) {
        guard let source else { return run(from: roots, stoppingAt: ends) }
        run(from: roots, stoppingAt: ends + [source])
        run(from: [source], stoppingAt: ends)
    }

    /// The gradient that has come to an input; nil where none did.
    package func gradient(of node: GradientNode) -> Tensor? { pending[ObjectIdentifier(node)] }

    /// Every node once, after all of its parents.
    private static func order(_ roots: [GradientNode], _ ends: [GradientNode]) -> [GradientNode] {
        var seen = Set(ends.map { ObjectIdentifier($0) })
        var order: [GradientNode] = []
        var path: [(node: GradientNode, parents: [GradientNode], next: Int)] = []
        for root in roots where seen.insert(ObjectIdentifier(root)).inserted {
            path.append((root, root.parents, 0))
            while let last = path.indices.last {
                let (node, parents, next) = path[last]
                guard next < parents.count else {
                    order.append(node)
                    path.removeLast()
                    continue
                }
                path[last].next += 1
                let parent = parents[next]
                if seen.insert(ObjectIdentifier(parent)).inserted {
                    path.append((parent, parent.parents, 0))
                }
            }
        }
        return order
    }
}

/// Gradients of parameters put off to later: the half of a backward pass that no other stage of a pipeline waits for
/// (arXiv:2401.10241). Done later in the same order, it gives the same sums.
package final class DeferredGradients {
    private var work: [() -> Void] = []

    package init() {}

    func append(_ work: @escaping () -> Void) { self.work.append(work) }

    /// Adds everything, and lets go of it piece by piece.
    package func run() {
        work.reverse()
        while let next = work.popLast() { next() }
    }
}

extension Tensor {
    /// Gradients of the sum of all elements times `seed`, added to those of the parameters behind this tensor.
    package func backward(into gradients: Gradients, seed: Float = 1) {
        guard let node else { return }
        let device = device(for: "backward")
        var flow = GradientFlow(into: gradients, on: device)
        flow.add(device.tensor(Array(repeating: seed, count: shape.elements), shape: shape), to: node)
        flow.run(from: [node])
    }
}
