/// An immutable array of plain values whose subscript checks its bounds but never touches a reference count.
///
/// The tables of a tokenizer are read for every byte of text; the buffer is owned by a class, so copies are cheap.
@safe
struct FrozenArray<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    @safe
    private final class Owner {
        let buffer: UnsafeMutableBufferPointer<Element>
        init(_ buffer: UnsafeMutableBufferPointer<Element>) { unsafe self.buffer = buffer }
        deinit { unsafe buffer.deallocate() }
    }

    private let owner: Owner
    private let base: UnsafePointer<Element>
    let count: Int

    init(_ elements: some Collection<Element>) {
        // One element more than asked for, so that an empty array has an address too.
        let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count + 1)
        _ = unsafe buffer.initialize(from: elements)
        owner = unsafe Owner(buffer)
        unsafe base = UnsafePointer(buffer.baseAddress.unsafelyUnwrapped)
        count = elements.count
    }

    /// `count` elements that `fill` sets, all `element` before.
    init(repeating element: Element, count: Int, _ fill: (inout MutableSpan<Element>) -> Void) {
        let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: count + 1)
        unsafe buffer.initialize(repeating: element)
        var elements = unsafe MutableSpan(_unsafeElements: buffer.extracting(0..<count))
        fill(&elements)
        owner = unsafe Owner(buffer)
        unsafe base = UnsafePointer(buffer.baseAddress.unsafelyUnwrapped)
        self.count = count
    }

    @inline(__always)
    subscript(_ index: Int) -> Element {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "FrozenArray: index out of range")
        return unsafe base[index]
    }

    var isEmpty: Bool { count == 0 }

    /// The elements as an array of their own.
    var array: [Element] { unsafe Array(UnsafeBufferPointer(start: base, count: count)) }
}
