package import MartletTensors

/// A visitor that is told when a pass comes to the parameters of a layer and when it leaves them, forwards and
/// backwards: a rank that keeps a part of them alone gathers the others' parts meanwhile (arXiv:1910.02054, stages 2
/// and 3).
package protocol LayerVisitor: AnyObject, Sendable {
    /// The parameters at `place` are about to be read.
    func enters(_ place: ParameterPlace)

    /// The pass leaves the parameters: they are not read again before they are entered again.
    func leaves(_ place: ParameterPlace)

    /// The gradients of this pass have all come to the parameters, but for those of what other layers share.
    func finishes(_ place: ParameterPlace)
}

/// A pass's visit to one layer.
package struct LayerVisit: Sendable {
    private let visitor: any LayerVisitor
    private let place: ParameterPlace
    private let isOwner: Bool

    /// - Parameter isOwner: whether the layer's parameters are its own; those that share them come before it on the way
    ///   back.
    package init(_ visitor: any LayerVisitor, _ place: ParameterPlace, isOwner: Bool) {
        (self.visitor, self.place, self.isOwner) = (visitor, place, isOwner)
    }

    /// The layer's input: where gradients come to it, the layer's own are complete.
    package func begun(_ input: Tensor) -> Tensor {
        visitor.enters(place)
        return input.passing { [visitor, place, isOwner] in
            visitor.leaves(place)
            if isOwner { visitor.finishes(place) }
        }
    }

    /// The layer's output: where gradients come to it, the layer is about to be read once more.
    package func ended(_ output: Tensor) -> Tensor {
        visitor.leaves(place)
        return output.passing { [visitor, place] in visitor.enters(place) }
    }
}

extension Tensor {
    /// Returns the same elements; `body` is called when their gradient passes by.
    fileprivate func passing(_ body: @escaping @Sendable () -> Void) -> Tensor {
        guard let node else { return self }
        return untracked.recorded([self]) { gradient, flow in
            body()
            flow.add(gradient, to: node)
        }
    }
}
