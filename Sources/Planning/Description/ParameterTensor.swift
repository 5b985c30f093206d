/// One parameter of a model: its name, its shape, the part it plays and how often a token meets it.
public struct ParameterTensor: Sendable, Hashable {
    public var name: String
    /// Outermost dimension first; an empty shape is a single number.
    public var shape: [Int]
    public var part: Part
    public var use: Use

    public init(_ name: String, _ shape: [Int], _ part: Part, _ use: Use) {
        (self.name, self.shape, self.part, self.use) = (name, shape, part, use)
    }

    /// The part of the model a tensor belongs to: the rows of a report, and what llama.cpp's rules for mixed types look at.
    public enum Part: String, Sendable, Hashable, Codable, CaseIterable {
        case tokenTable, positionTable, segmentTable, stem
        case query, key, value, queryKeyValue, attentionOutput
        case latentQuery, latentKeyValue, relativePositions
        case gate, up, gateUp, down, router
        case norm, head, headTransform, pooler, other
    }

    /// What a row does with the tensor.
    public enum Use: Sendable, Hashable {
        /// One row of the table is copied: no arithmetic.
        case lookedUp
        /// Every row of `rows` is multiplied by the matrix: two operations per element.
        case multiplied(Rows)
        /// Added or scaled element by element: biases and norms.
        case elementwise
        /// The first dimension counts experts, of which each row meets `active`.
        case routed(active: Int)
    }

    /// Which rows pass through a matrix.
    public enum Rows: Sendable, Hashable {
        /// Those of the stack the tensor is in.
        case own
        /// Those of the encoder: the keys and values of cross-attention.
        case source
        /// One per sequence: poolers and classifiers.
        case perSequence
        /// So many per sequence whatever its length: convolutions over sound, patches, relative positions.
        case fixed(Int)
    }

    /// The number of elements.
    public var elements: Count { shape.reduce(1) { $0 * Count($1) } }

    /// The elements that one token meets: all but those of the experts it is not sent to.
    public var activeElements: Count {
        guard case .routed(let active) = use, let experts = shape.first, experts > 0 else { return elements }
        return elements / Count(experts) * Count(min(active, experts))
    }

    /// Whether every row of the tensor takes part in a matrix product.
    public var isMatrix: Bool {
        switch use {
        case .multiplied: true
        case .routed: shape.count == 3
        case .lookedUp, .elementwise: false
        }
    }
}
