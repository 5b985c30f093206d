public import MartletTensors

/// How a file stores elements: every type that a format names, also those that this package does not compute with.
public struct StoredType: Sendable, Hashable {
    /// As the format spells it: "BF16", "Q4_K".
    public let name: String
    /// Elements stored together, and their bytes.
    public let blockElements: Int
    public let blockBytes: Int
    /// The same type as ours, or nil when tensors of it can only be listed.
    public let elementType: ElementType?

    init(_ name: String, _ blockElements: Int, _ blockBytes: Int, _ elementType: ElementType? = nil) {
        (self.name, self.blockElements, self.blockBytes) = (name, blockElements, blockBytes)
        self.elementType = elementType
    }

    init(_ name: String, _ elementType: ElementType) {
        self.init(name, elementType.blockElements, elementType.blockBytes, elementType)
    }

    /// The bytes that `elements` take, or nil when they do not fill whole blocks or the product overflows.
    public func bytes(forElements elements: Int) -> Int? {
        guard elements >= 0, elements % blockElements == 0 else { return nil }
        let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }
}
