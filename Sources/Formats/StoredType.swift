package import MartletTensors

/// The element type of a tensor in a file: every type that a format names, also those that this package does not
/// compute with.
package struct StoredType: Sendable, Hashable {
    /// The name as the format spells it: "BF16", "Q4_K".
    package let name: String
    package let block: BlockSize
    /// Our element type that is the same, or nil where elements are converted when they are loaded, or can only be
    /// listed.
    package let elementType: ElementType?
    let conversion: Conversion?

    /// The conversion of elements that are loaded as another type.
    enum Conversion: Sendable, Hashable {
        /// A block type of ggml, by its number.
        case ggml(UInt32)
        case float8(Float8)
    }

    /// A type that nothing here computes with: converted when it is loaded, or only listed.
    init(_ name: String, _ block: BlockSize, _ conversion: Conversion? = nil) {
        (self.name, self.block, elementType, self.conversion) = (name, block, nil, conversion)
    }

    /// A type of this package's own, under the name that all formats give it.
    init(_ type: ElementType) {
        (name, block, elementType, conversion) = (type.rawValue.uppercased(), type.block, type, nil)
    }

    /// The type that a tensor has once it is loaded: the stored one, or what it is converted to; nil when it can only
    /// be listed.
    package var loadedType: ElementType? {
        switch conversion {
        case .ggml(let number): ForeignBlocks.loadedType(number)
        case .float8: .bf16
        case nil: elementType
        }
    }
}
