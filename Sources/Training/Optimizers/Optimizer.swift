package import MartletLayers
package import MartletTensors

/// Changes parameters by their gradients, and remembers what it needs for the next time.
package protocol Optimizer: AnyObject {
    /// What it remembers, by name, in an order that never changes. The tensors are the memory itself.
    var state: [(name: String, tensor: Tensor)] { get }

    /// One step.
    ///
    /// - Parameters:
    ///   - rate: the learning rate.
    ///   - scale: multiplies every gradient first: normalisation and clipping in one.
    ///   - number: of this step, from 1.
    func step(_ parameters: TrainableParameters, _ gradients: Gradients, rate: Float, scale: Float, number: Int)
}

/// One f32 array per parameter, zeros at first.
package struct Moments: Sendable {
    private let tensors: [Tensor]
    private let names: [String]

    /// - Parameter name: what stands before the parameters' names: "first".
    init(_ name: String, _ parameters: TrainableParameters, shape: (Shape) -> Shape = { $0 }) {
        names = parameters.names.map { "\(name).\($0)" }
        tensors = parameters.shapes.map { parameters.device.make(shape($0)).filled(with: 0) }
    }

    var named: [(name: String, tensor: Tensor)] { Array(zip(names, tensors)) }
    subscript(_ index: Int) -> Tensor { tensors[index] }
}

extension TrainableParameters {
    /// Runs `body` on ranges of parameter `index`, in parallel.
    func forEachRange(of index: Int, cost: Int, _ body: (Range<Int>) -> Void) {
        device.parallel(shapes[index].elements, cost: cost, grain: 16, body)
    }

    /// Matrices decay; norms' weights and biases do not.
    func decay(_ decay: Float, of index: Int) -> Float { shapes[index].rank >= 2 ? decay : 0 }
}
