import MartletLayers
package import MartletTensors

/// An optimizer, which changes parameters by their gradients, and remembers what it needs for the next time.
package protocol Optimizer: AnyObject {
    /// The state that it remembers, by name, in an order that never changes. The tensors are the memory itself.
    var state: [CheckpointArray] { get }

    /// Steps once.
    ///
    /// - Parameters:
    ///   - rate: the learning rate.
    ///   - scale: multiplies every gradient first: normalisation and clipping in one.
    ///   - number: of this step, from 1.
    func step(_ gradients: Gradients, rate: Float, scale: Float, number: Int)
}

/// The moments of an optimizer: an f32 array per part of a parameter, zeros at first.
package struct Moments: Sendable {
    private let tensors: [Tensor]
    private let arrays: [CheckpointArray]

    /// - Parameters:
    ///   - name: what stands before the parameters' names: "first".
    ///   - shape: that of a whole parameter's array, where it is not the parameter's own.
    init(_ name: String, _ parts: ParameterParts, shape: ((Shape) -> Shape)? = nil) {
        let device = parts.parameters.device
        func zeros(_ shape: Shape) -> Tensor { device.make(shape).filled(with: 0) }
        tensors = parts.indices.map { part in
            guard let shape else { return zeros(parts.shape(part)) }
            precondition(parts.isWhole(part), "Moments \(name): of whole parameters only")
            return zeros(shape(parts.shape(part)))
        }
        arrays = parts.arrays(name + ".", tensors, shape: shape ?? { $0 })
    }

    var named: [CheckpointArray] { arrays }
    subscript(_ part: Int) -> Tensor { tensors[part] }
}
