/// The block size of an element type: how many elements are stored together, and in how many bytes. A plain type has
/// blocks of one element.
package struct BlockSize: Sendable, Hashable {
    package let elements: Int
    package let bytes: Int

    package init(elements: Int, bytes: Int) { (self.elements, self.bytes) = (elements, bytes) }

    /// The bytes of `count` elements, which fill whole blocks.
    package func bytes(of count: Int) -> Int { count / elements * bytes }

    /// The bytes of `count` elements, or nil when they do not fill whole blocks or the product overflows.
    package func checkedBytes(of count: Int) -> Int? {
        guard count >= 0, count % elements == 0 else { return nil }
        let (product, overflow) = (count / elements).multipliedReportingOverflow(by: bytes)
        return overflow ? nil : product
    }
}
