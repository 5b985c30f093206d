import MartletPlatform

/// A growing array of plain values in memory, or where the training's memory is used up in a mapped temporary file.
@safe
struct MappedArray<Element: BitwiseCopyable>: ~Copyable {
    private let memory: TrainingMemory
    private var base: UnsafeMutablePointer<Element>?
    private(set) var count = 0
    private var capacity = 0
    /// The file, -1 while the array is in memory.
    private var file: Int32 = -1

    init(_ memory: TrainingMemory) { self.memory = memory }

    deinit {
        if file < 0 {
            unsafe free(base)
            _ = memory.take(-capacity * MemoryLayout<Element>.stride)
        } else {
            memory.note(file, nil)
            unsafe munmap(base, capacity * MemoryLayout<Element>.stride)
            close(file)
        }
    }

    @inline(__always)
    subscript(_ index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "MappedArray: index out of range")
            return unsafe base.unsafelyUnwrapped[index]
        }
        set {
            precondition(index >= 0 && index < count, "MappedArray: index out of range")
            unsafe base.unsafelyUnwrapped[index] = newValue
        }
    }

    /// Changes one element in its place.
    @inline(__always)
    mutating func update(_ index: Int, _ body: (inout Element) -> Void) {
        precondition(index >= 0 && index < count, "MappedArray: index out of range")
        unsafe body(&base.unsafelyUnwrapped[index])
    }

    @inline(__always)
    mutating func append(_ element: Element) throws(TrainingError) {
        if count == capacity { try reserve(max(1024, capacity * 2)) }
        unsafe base.unsafelyUnwrapped[count] = element
        count += 1
    }

    mutating func append(contentsOf elements: Span<Element>) throws(TrainingError) {
        if count + elements.count > capacity { try reserve(max(count + elements.count, capacity * 2)) }
        for index in elements.indices { unsafe base.unsafelyUnwrapped[count + index] = elements[index] }
        count += elements.count
    }

    /// Makes an empty array `added` elements long, all of whose bits are zero; in a file they take no room before they
    /// are used.
    mutating func append(zeros added: Int) throws(TrainingError) {
        precondition(count == 0 && capacity == 0, "MappedArray: zeros are the first elements")
        try reserve(added)
        if file < 0, let base = unsafe base { unsafe memset(base, 0, added * MemoryLayout<Element>.stride) }
        count = added
    }

    mutating func removeLast() {
        precondition(count > 0, "MappedArray: nothing to remove")
        count -= 1
    }

    /// Copies a range out.
    func array(_ range: Range<Int>) -> [Element] { range.map { self[$0] } }

    private mutating func reserve(_ wanted: Int) throws(TrainingError) {
        let stride = MemoryLayout<Element>.stride
        if file < 0, memory.take((wanted - capacity) * stride) {
            guard let grown = unsafe realloc(base, wanted * stride) else { throw TrainingMemory.failure() }
            unsafe base = grown.assumingMemoryBound(to: Element.self)
        } else {
            try map(wanted * stride)
        }
        capacity = wanted
    }

    /// Moves the array to `bytes` of its file, which is made where there is none yet.
    private mutating func map(_ bytes: Int) throws(TrainingError) {
        let isNew = file < 0
        let descriptor = isNew ? try TrainingMemory.temporaryFile() : file
        guard ftruncate(descriptor, bytes) == 0,
            let place = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            unsafe place != UnsafeMutableRawPointer(bitPattern: -1)
        else {
            let failure = TrainingMemory.failure()
            if isNew { close(descriptor) }
            throw failure
        }
        let old = capacity * MemoryLayout<Element>.stride
        if isNew {
            // Written rather than copied, so that the copy is not in memory too.
            let own = unsafe UnsafeRawBufferPointer(start: base, count: count * MemoryLayout<Element>.stride)
            guard unsafe writeAll(descriptor, own, at: 0) else {
                let failure = TrainingMemory.failure()
                unsafe munmap(place, bytes)
                close(descriptor)
                throw failure
            }
            unsafe free(base)
            _ = memory.take(-old)
        } else {
            unsafe munmap(base, old)
        }
        file = descriptor
        unsafe base = place.assumingMemoryBound(to: Element.self)
        memory.note(descriptor, (UInt(bitPattern: place), bytes))
    }
}
