import Synchronization

/// An autograd node, which an operation leaves behind so that gradients can flow back through it: its tracked operands,
/// and the rule that turns the gradient of its result into theirs.
///
/// Reverse mode without a tape: nodes know their parents only, and a graph lives as long as somebody holds its end. An
/// operation makes a node only where an operand has one, so untracked passes pay nothing. A rule runs once; what it
/// holds is freed with it.
package final class GradientNode: Sendable {
    /// The backward rule, which turns the gradient of the result into gradients of the parents.
    package typealias Rule = @Sendable (_ gradient: Tensor, _ flow: inout GradientFlow) -> Void

    /// The parents and the rule, until the rule has run.
    private struct Links {
        var parents: [GradientNode]
        var rule: Rule?
    }

    /// The shape of the result; views under other shapes share the node.
    package let shape: Shape
    /// A parameter's place among all that are trained.
    package let leaf: Int?
    private let links: Mutex<Links>

    package init(_ shape: Shape, parents: [GradientNode], rule: @escaping Rule) {
        (self.shape, leaf) = (shape, nil)
        links = Mutex(Links(parents: parents, rule: rule))
    }

    /// A parameter, number `leaf` of all that are trained.
    package init(leaf: Int, _ shape: Shape) {
        (self.shape, self.leaf) = (shape, leaf)
        links = Mutex(Links(parents: [], rule: nil))
    }

    /// An input node that is no parameter and has nothing before it: the end of the graph of a recomputed layer, and
    /// what tests differentiate by.
    package init(input shape: Shape) {
        (self.shape, leaf) = (shape, nil)
        links = Mutex(Links(parents: [], rule: nil))
    }

    package var parents: [GradientNode] { links.withLock { $0.parents } }

    /// The rule and the parents, which this node then forgets.
    func take() -> Rule? {
        links.withLock { links in
            defer { links = Links(parents: [], rule: nil) }
            return links.rule
        }
    }

    /// Chains are as long as a model is deep: they are let go one by one, not by nested calls.
    deinit {
        var waiting = links.withLock { links in
            defer { links = Links(parents: [], rule: nil) }
            return links.parents
        }
        while var node = waiting.popLast() {
            guard isKnownUniquelyReferenced(&node) else { continue }
            waiting += node.links.withLock { links in
                defer { links.parents = [] }
                return links.parents
            }
        }
    }
}

extension Tensor {
    /// The tensor detached from the autograd graph: nobody differentiates by it.
    package var untracked: Tensor { node == nil ? self : tracked(by: nil) }

    /// The result of an operation on `operands`, remembered where any of them is tracked. Rules hold untracked tensors
    /// only.
    package func recorded(_ operands: [Tensor?], _ rule: @escaping GradientNode.Rule) -> Tensor {
        let parents = operands.compactMap { $0?.node }
        return parents.isEmpty ? self : tracked(by: GradientNode(shape, parents: parents, rule: rule))
    }
}
