import MartletLayers
package import MartletTensors

/// The size of a model's packed matrices.
package struct PackedWeights: Sendable {
    /// The size in bytes of all matrices, which one decode step reads.
    package private(set) var bytes = 0
    /// The share of ``bytes`` that is mapped from the cache of packed matrices.
    package private(set) var mappedBytes = 0
    /// Block-quantized elements that every row of a prompt multiplies by, so without the projection to the vocabulary;
    /// integer and float products run into different limits.
    package private(set) var quantizedElements = 0
    package private(set) var plainElements = 0
    /// The element types of all matrices.
    package private(set) var types: Set<ElementType> = []

    package init() {}

    mutating func add(_ matrix: PackedMatrix, _ role: ParameterRole) {
        bytes += matrix.bytes
        types.insert(matrix.type)
        if matrix.storage.kind == .mapped { mappedBytes += matrix.bytes }
        guard ![.tokens, .head, .headTransform].contains(role) else { return }
        if matrix.type.isBlockQuantized {
            quantizedElements += matrix.outputs * matrix.inputs
        } else {
            plainElements += matrix.outputs * matrix.inputs
        }
    }
}
