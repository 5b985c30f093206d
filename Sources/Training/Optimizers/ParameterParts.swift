package import MartletLayers
package import MartletTensors

/// The parts of the trained parameters that one rank steps on: all of each, or ranges of their elements (ZeRO:
/// arXiv:1910.02054).
package struct ParameterParts {
    package let parameters: TrainableParameters
    /// For each parameter, whether this rank writes its parts, as other ranks have the rest; else the leader's are
    /// written.
    private let isShared: [Bool]
    private let parts: [(parameter: Int, elements: Range<Int>)]

    /// The parts that are all of every parameter.
    package init(_ parameters: TrainableParameters) {
        self.parameters = parameters
        isShared = parameters.names.map { _ in false }
        parts = parameters.shapes.enumerated().map { ($0, 0..<$1.elements) }
    }

    /// The part that lies in `ranges` of the memory of all, which are ascending.
    ///
    /// - Parameter isWritten: whether this rank writes its parts of a parameter.
    package init(_ parameters: TrainableParameters, in ranges: [Range<Int>], isWritten: (Int) -> Bool = { _ in true }) {
        self.parameters = parameters
        isShared = parameters.names.indices.map(isWritten)
        var parts: [(parameter: Int, elements: Range<Int>)] = []
        var next = 0
        for (index, offset) in parameters.offsets.enumerated() {
            let whole = offset..<offset + parameters.shapes[index].elements
            while next < ranges.count, ranges[next].upperBound <= whole.lowerBound { next += 1 }
            var range = next
            while range < ranges.count, ranges[range].lowerBound < whole.upperBound {
                let own = ranges[range].clamped(to: whole)
                if !own.isEmpty { parts.append((index, own.lowerBound - offset..<own.upperBound - offset)) }
                range += 1
            }
        }
        self.parts = parts
    }

    package var indices: Range<Int> { parts.indices }

    /// The parameter that part `part` is of.
    package func parameter(_ part: Int) -> Int { parts[part].parameter }
    package func elements(_ part: Int) -> Range<Int> { parts[part].elements }
    package func isWhole(_ part: Int) -> Bool { elements(part).count == parameters.shapes[parameter(part)].elements }

    /// The parameter's own where it is whole, else as many elements in a row.
    package func shape(_ part: Int) -> Shape {
        isWhole(part) ? parameters.shapes[parameter(part)] : [elements(part).count]
    }

    package func weight(_ part: Int) -> Tensor { view(part, of: parameters[parameter(part)]) }
    package func gradient(_ part: Int, in gradients: Gradients) -> Tensor {
        view(part, of: gradients[parameter(part)])
    }

    private func view(_ part: Int, of whole: Tensor) -> Tensor {
        isWhole(part) ? whole : whole.elements(elements(part))
    }

    package func rateFactor(_ part: Int) -> Float { parameters.rateFactors[parameter(part)] }

    /// Matrices decay; norms' weights and biases do not.
    func decay(_ decay: Float, of part: Int) -> Float {
        parameters.shapes[parameter(part)].rank >= 2 ? decay : 0
    }

    /// Runs `body` on ranges of part `part`, in parallel.
    func forEachRange(of part: Int, cost: Int, _ body: (Range<Int>) -> Void) {
        parameters.device.parallel(elements(part).count, cost: cost, grain: 16, body)
    }

    /// The arrays of a checkpoint, of which `tensors` are this rank's parts.
    func arrays(
        _ prefix: String, _ tensors: [Tensor], shape: (Shape) -> Shape = { $0 }
    ) -> [CheckpointArray] {
        var next = 0
        return parameters.names.indices.map { index in
            let whole = shape(parameters.shapes[index])
            var pieces: [CheckpointArray.Piece] = []
            while next < parts.count, parts[next].parameter == index {
                let first = isWhole(next) ? 0 : elements(next).lowerBound
                pieces.append(.init(first: first, tensor: tensors[next]))
                next += 1
            }
            return CheckpointArray(prefix + parameters.names[index], whole, pieces, isShared: isShared[index])
        }
    }
}
