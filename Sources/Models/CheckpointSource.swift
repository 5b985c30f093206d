package import MartletFormats
package import MartletLayers
package import MartletTensors

/// A source of parameters from a checkpoint that has been matched already.
package final class CheckpointSource: ParameterSource {
    private let checkpoint: Checkpoint
    private let device: Device
    /// The first tensor that the file would not give, after all: layers do not throw, so the loader asks when it is
    /// done.
    package private(set) var failure: FormatError?
    package private(set) var weights = PackedWeights()

    /// The element type that matrices of plain numbers are converted to for products; nil for what they are.
    private let matrices: ElementType?

    /// The queue in which matrices wait that the file has as they are; nil to pack each as it is asked for.
    private let queue: PackingQueue?

    /// The ranks that divide the matrices (tensor parallelism); nil where all are packed here.
    private let ranks: ProductRanks?

    /// The matrices that an earlier load packed; nil where none are kept.
    private let kept: PackedFile?
    /// The matrices that were packed here, by the names of their parameters.
    private(set) var packed: [(name: String, matrix: PackedMatrix)] = []

    /// - Parameter queue: packs the matrices that the file has as they are; run it before the model computes.
    package convenience init(
        _ checkpoint: Checkpoint, device: Device, matrices: ElementType? = nil, queue: PackingQueue? = nil,
        dividedAmong ranks: ProductRanks? = nil
    ) {
        self.init(checkpoint, device: device, matrices: matrices, queue: queue, dividedAmong: ranks, kept: nil)
    }

    init(
        _ checkpoint: Checkpoint, device: Device, matrices: ElementType?, queue: PackingQueue?,
        dividedAmong ranks: ProductRanks?, kept: PackedFile?
    ) {
        (self.checkpoint, self.device, self.matrices, self.queue) = (checkpoint, device, matrices, queue)
        (self.ranks, self.kept) = (ranks, kept)
    }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        do throws(FormatError) {
            let shape = description.shape
            // What is only multiplied by need not be made again from what the file has.
            if description.use.isMultiplied, checkpoint.makes(description.name), kept(description) != nil {
                return Parameter(description, value: nil)
            }
            var value = try checkpoint.tensor(description.name, shape: shape, on: device)
            if value == nil, case .constant(let number) = description.fill {
                value = Tensor(Array(repeating: number, count: shape.elements), shape: shape)
            }
            return Parameter(description, value: value)
        } catch {
            failure = failure ?? error
            return Parameter(description, value: nil)
        }
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? {
        if let matrix = kept(parameter.description) {
            weights.add(matrix, parameter.role)
            return matrix
        }
        guard let value = parameter.value else { return nil }
        let matrix = ranks?.packed(value, pack) ?? pack(value)
        weights.add(matrix, parameter.role)
        packed.append((parameter.name, matrix))
        return matrix
    }

    /// The matrix that is kept of a parameter `[outputs, …]`.
    private func kept(_ description: ParameterDescription) -> PackedMatrix? {
        guard let kept, description.shape.rank > 1, let stored = checkpoint.type(description.name) else { return nil }
        let (outputs, elements) = (description.shape[0], description.shape.elements)
        let inputs = outputs > 0 ? elements / outputs : 0
        return kept.matrix(
            description.name, outputs: outputs, inputs: inputs, type: wantedType(stored, inputs: inputs) ?? stored)
    }

    private func pack(_ value: Tensor) -> PackedMatrix {
        let type = wantedType(value.type, inputs: value.shape.width)
        // What was made for this is not to lie about until all is packed.
        let waits = value.storage.kind == .mapped
        if waits, let packed = queue?.add(value, as: type, on: device) { return packed }
        let matrix = PackedMatrix(value, as: type, on: device)
        value.storage.release(value.byteOffset..<value.byteOffset + value.bytes)
        return matrix
    }

    /// The type that a matrix of `type` is converted to; nil where it stays: blocks that the file has, and rows that
    /// would not fill blocks.
    private func wantedType(_ type: ElementType, inputs: Int) -> ElementType? {
        guard let matrices, !type.isBlockQuantized, inputs % matrices.blockElements == 0 else { return nil }
        return matrices
    }

    package func decoded(_ parameter: Parameter) -> Parameter {
        guard let value = parameter.value else { return parameter }
        return parameter.with(value.decoded(on: device))
    }
}

extension ParameterUse {
    /// True where the parameter is a matrix that rows are multiplied by, and nothing else.
    fileprivate var isMultiplied: Bool {
        switch self {
        case .multiplied, .routed: true
        case .lookedUp, .elementwise: false
        }
    }
}
