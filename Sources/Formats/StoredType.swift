package import MartletTensors

/// The element type of a tensor in a file: every type that a format names, also those that this package does not
/// compute with.
package struct StoredType: Sendable, Hashable {
    /// The name as the format spells it: "BF16", "Q4_K".
    package let name: String
    /// The block size: the number of elements stored together, and their bytes.
    package let blockElements: Int
    package let blockBytes: Int
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

    init(_ name: String, _ blockElements: Int, _ blockBytes: Int, _ elementType: ElementType? = nil) {
        (self.name, self.blockElements, self.blockBytes) = (name, blockElements, blockBytes)
        (self.elementType, conversion) = (elementType, nil)
    }

    init(_ name: String, _ blockElements: Int, _ blockBytes: Int, _ conversion: Conversion) {
        (self.name, self.blockElements, self.blockBytes) = (name, blockElements, blockBytes)
        (elementType, self.conversion) = (nil, conversion)
    }

    init(_ name: String, _ elementType: ElementType) {
        self.init(name, elementType.blockElements, elementType.blockBytes, elementType)
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

    /// The bytes that `elements` take, or nil when they do not fill whole blocks or the product overflows.
    package func bytes(forElements elements: Int) -> Int? {
        guard elements >= 0, elements % blockElements == 0 else { return nil }
        let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }
}
