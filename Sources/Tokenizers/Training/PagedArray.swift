import MartletPlatform

/// A growing array of plain values in pages of its own, which go back to the system at once when it grows or goes; an
/// allocator would keep them, and a limit of memory could not tell.
///
/// Changed by one thread, then read by any number.
@safe
final class PagedArray<Element: BitwiseCopyable>: @unchecked Sendable {
    private static var leastBytes: Int { 1 << 12 }

    private var base: UnsafeMutablePointer<Element>?
    private(set) var count = 0
    private var capacity = 0

    init() {}

    /// An array all of whose bits are zero.
    init(zeros count: Int) {
        reserve(count)
        self.count = count
    }

    deinit { release() }

    /// The bytes that are taken.
    var memory: Int { capacity * MemoryLayout<Element>.stride }

    /// The elements, as long as the array is not changed.
    var elements: UnsafeBufferPointer<Element> { unsafe UnsafeBufferPointer(start: base, count: count) }

    @inline(__always)
    subscript(_ index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "PagedArray: index out of range")
            return unsafe base.unsafelyUnwrapped[index]
        }
        set {
            precondition(index >= 0 && index < count, "PagedArray: index out of range")
            unsafe base.unsafelyUnwrapped[index] = newValue
        }
    }

    @inline(__always)
    func append(_ element: Element) {
        if count == capacity { reserve(count + 1) }
        unsafe base.unsafelyUnwrapped[count] = element
        count += 1
    }

    func append(contentsOf new: Span<Element>) {
        if count + new.count > capacity { reserve(count + new.count) }
        for index in new.indices { unsafe base.unsafelyUnwrapped[count + index] = new[index] }
        count += new.count
    }

    /// Makes room for `wanted` elements or twice what there was.
    private func reserve(_ wanted: Int) {
        let stride = MemoryLayout<Element>.stride
        let grown = max(wanted, capacity * 2, PagedArray.leastBytes / stride)
        let place = unsafe mmap(nil, grown * stride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let place = unsafe place, unsafe place != UnsafeMutableRawPointer(bitPattern: -1) else {
            preconditionFailure("PagedArray: the system has no memory for \(grown * stride) bytes")
        }
        if let base = unsafe base { unsafe memcpy(place, base, count * stride) }
        release()
        unsafe base = place.assumingMemoryBound(to: Element.self)
        capacity = grown
    }

    private func release() {
        if let base = unsafe base { unsafe munmap(base, memory) }
    }
}
