/// The gradients of all trained parameters, f32, one after the other in a single memory: the order is that of the
/// parameters, so that any range of it can be reduced, sent or stepped on as a bucket.
///
/// Written by one pass at a time; not shared between threads.
package final class Gradients {
    /// The shape of each parameter.
    package let shapes: [Shape]
    /// The start of each parameter's gradient, in elements: a multiple of 16.
    package let offsets: [Int]
    /// The number of elements in all, with the gaps.
    package let count: Int
    package let storage: Storage
    private let device: Device
    /// The elements of each parameter whose gradients are here.
    package let held: [Range<Int>]
    private var holdsSum: [Bool]
    private var isClosed: [Bool]
    /// The first parameter to which something came after it was closed.
    package private(set) var late: Int?
    /// The first parameter to which something came without the rows of other ranks, which divide those of a pass.
    package private(set) var missing: Int?

    /// - Parameter held: the elements of each parameter whose gradients come; the others keep their places, without
    ///   memory. All when nil.
    package init(_ shapes: [Shape], holding held: [Range<Int>]? = nil, on device: Device) {
        self.shapes = shapes
        (offsets, count) = Gradients.layout(shapes)
        self.held = held ?? shapes.map { 0..<$0.elements }
        storage = Storage(zeros: count * 4)
        self.device = device
        holdsSum = Array(repeating: false, count: shapes.count)
        isClosed = holdsSum
    }

    /// The layout of arrays of these shapes in one memory: where each starts, on a cache line of its own, and the
    /// elements of all.
    package static func layout(_ shapes: [Shape]) -> (offsets: [Int], count: Int) {
        var count = 0
        let offsets = shapes.map { shape in
            defer { count += (shape.elements + 15) / 16 * 16 }
            return count
        }
        return (offsets, count)
    }

    /// The gradient of parameter `index`; zeros where none has come.
    package subscript(_ index: Int) -> Tensor {
        if !holdsSum[index] {
            let own = held[index]
            unsafe (place(index).mutableFloats + own.lowerBound).update(repeating: 0, count: own.count)
            holdsSum[index] = true
        }
        return place(index)
    }

    /// Returns whether anything has come to parameter `index` since the last reset.
    package func holds(_ index: Int) -> Bool { holdsSum[index] }

    /// Begins anew; nothing is written before something comes.
    package func reset() { holdsSum = Array(repeating: false, count: shapes.count) }

    /// Completes the ranges of these parameters with zeros.
    package func complete(_ indices: Range<Int>) { for index in indices { _ = self[index] } }

    /// Declares that nothing more comes to these parameters, and completes their ranges with zeros.
    package func close(_ indices: Range<Int>) {
        for index in indices {
            _ = self[index]
            isClosed[index] = true
        }
    }

    /// Lets more come to these parameters: anew, or to the sums that are there.
    package func open(_ indices: Range<Int>, anew: Bool) {
        for index in indices { (isClosed[index], holdsSum[index]) = (false, holdsSum[index] && !anew) }
    }

    /// Elements `range` of all.
    package func elements(_ range: Range<Int>) -> Tensor {
        Tensor(storage: storage, shape: [count], type: .f32, device: device).elements(range)
    }

    /// The gradients that are here, of parameters `indices` in as few runs as they lie in, zeros where nothing has
    /// come.
    package func own(_ indices: Range<Int>) -> [Tensor] {
        complete(indices)
        var runs: [Range<Int>] = []
        for index in indices where !held[index].isEmpty {
            let own = offsets[index] + held[index].lowerBound..<offsets[index] + held[index].upperBound
            if let last = runs.last, own.lowerBound - last.upperBound < 16 {
                runs[runs.count - 1] = last.lowerBound..<own.upperBound
            } else {
                runs.append(own)
            }
        }
        return runs.map(elements)
    }

    /// The gradients of all parameters in one tensor, zeros in the gaps and where nothing has come.
    package var all: Tensor {
        complete(shapes.indices)
        return Tensor(storage: storage, shape: [count], type: .f32, device: device)
    }

    func missRows(_ index: Int) { missing = missing ?? index }

    private func place(_ index: Int) -> Tensor {
        Tensor(storage: storage, byteOffset: offsets[index] * 4, shape: shapes[index], type: .f32, device: device)
    }

    func add(_ gradient: Tensor, to index: Int) {
        accumulate(index) { target, holdsSum in
            target.overwrite(with: gradient, adding: holdsSum)
        }
    }

    func accumulate(_ index: Int, _ body: (_ target: Tensor, _ holdsSum: Bool) -> Void) {
        if isClosed[index] { late = late ?? index }
        body(place(index), holdsSum[index])
        holdsSum[index] = true
    }
}
