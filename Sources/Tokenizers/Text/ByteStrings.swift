/// Strings of bytes that lie end to end in one array: a vocabulary of 150,000 tokens is two blocks of memory instead of
/// as many as there are tokens.
public struct ByteStrings: Sendable, Equatable, RandomAccessCollection, ExpressibleByArrayLiteral {
    /// The bytes of all strings, one behind the other.
    public private(set) var bytes: [UInt8]
    /// The end of each string in ``bytes``.
    private var ends: [Int]

    /// An empty collection.
    public init() { (bytes, ends) = ([], []) }

    /// A collection of these strings, in order.
    public init(_ strings: some Sequence<[UInt8]>) {
        self.init()
        for string in strings { append(string) }
    }

    /// The byte strings, in their order.
    public init(arrayLiteral elements: [UInt8]...) { self.init(elements) }

    /// The strings of `bytes` that end at `ends`.
    ///
    /// - Precondition: the ends ascend, to the number of bytes.
    package init(bytes: [UInt8], ends: [Int]) {
        precondition(
            (ends.last ?? 0) == bytes.count && (ends.first ?? 0) >= 0
                && zip(ends, ends.dropFirst()).allSatisfy { $0 <= $1 },
            "ByteStrings: the ends do not ascend to \(bytes.count)")
        (self.bytes, self.ends) = (bytes, ends)
    }

    /// Adds a string at the end.
    public mutating func append(_ string: some Collection<UInt8>) {
        bytes.append(contentsOf: string)
        ends.append(bytes.count)
    }

    /// The indices, in ascending order.
    public typealias Indices = Range<Int>
    /// The index of the first element.
    public var startIndex: Int { 0 }
    /// The index past the last element.
    public var endIndex: Int { ends.count }

    /// A copy of string number `index`.
    public subscript(index: Int) -> [UInt8] { Array(slice(index)) }

    /// String number `index` where it lies.
    public func slice(_ index: Int) -> ArraySlice<UInt8> { bytes[range(of: index)] }

    /// The place of string number `index` in ``bytes``.
    func range(of index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}
