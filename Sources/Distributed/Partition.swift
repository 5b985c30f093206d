/// An array cut into one range for each rank of a tree sum: what recursive halving leaves with each of them.
///
/// Ranges lie in the array in the order of the ranks' numbers with their bits reversed, because the nearest ranks
/// halve first.
package struct Partition: Sendable, Equatable {
    /// The bounds of the ranges: where each begins, in the order of the array, and where the last one ends.
    private let bounds: [Int]

    /// Cuts at places of one's own choice.
    ///
    /// - Parameter bounds: ascending; one more than there are ranks, which are a power of two.
    package init(at bounds: [Int]) {
        precondition(
            bounds.count > 1 && (bounds.count - 1).nonzeroBitCount == 1 && bounds == bounds.sorted(),
            "Partition: bounds \(bounds)")
        self.bounds = bounds
    }

    /// The most even cut of `range` that there is.
    package init(_ range: Range<Int>, among size: Int) {
        self.init(at: (0...size).map { range.lowerBound + range.count * $0 / size })
    }

    /// A cut near to an even one of `range`, at places that are allowed.
    ///
    /// - Parameter places: ascending, the range's own bounds among them.
    package init(_ range: Range<Int>, among size: Int, at places: [Int]) {
        var next = 0
        let bounds = (0...size).map { number in
            let wanted = range.lowerBound + range.count * number / size
            while next + 1 < places.count, abs(places[next + 1] - wanted) <= abs(places[next] - wanted) { next += 1 }
            return places[next]
        }
        self.init(at: bounds)
    }

    package var size: Int { bounds.count - 1 }
    package var whole: Range<Int> { bounds[0]..<bounds[size] }

    /// The range of the array that rank `rank` has.
    package subscript(_ rank: Int) -> Range<Int> {
        let place = Partition.reversed(rank, below: size)
        return bounds[place]..<bounds[place + 1]
    }

    /// The rank that has element `index`.
    package func owner(of index: Int) -> Int {
        var (lower, upper) = (0, size)
        while upper - lower > 1 {
            let middle = (lower + upper) / 2
            if bounds[middle] <= index { lower = middle } else { upper = middle }
        }
        return Partition.reversed(lower, below: size)
    }

    private static func reversed(_ number: Int, below size: Int) -> Int {
        var (result, number, bit) = (0, number, size >> 1)
        while bit > 0 {
            if number & 1 == 1 { result |= bit }
            (number, bit) = (number >> 1, bit >> 1)
        }
        return result
    }

    /// A step of recursive halving: with each peer a rank gives one half of what it holds and keeps the other.
    struct Step: Equatable {
        let peer: Int
        let kept, given: Range<Int>
    }

    /// The steps of rank `rank`, nearest peer first, so that sums are added in the order of the ranks.
    func steps(of rank: Int) -> [Step] {
        var held = 0..<size
        var steps: [Step] = []
        var distance = 1
        while distance < size {
            let middle = (held.lowerBound + held.upperBound) / 2
            let (lower, upper) = (held.lowerBound..<middle, middle..<held.upperBound)
            let isLower = rank & distance == 0
            let (kept, given) = isLower ? (lower, upper) : (upper, lower)
            steps.append(Step(peer: rank ^ distance, kept: elements(kept), given: elements(given)))
            held = kept
            distance *= 2
        }
        return steps
    }

    private func elements(_ ranges: Range<Int>) -> Range<Int> { bounds[ranges.lowerBound]..<bounds[ranges.upperBound] }

    /// The number of bytes that rank `rank` sends in one ``Communicator/scatterSums(_:_:_:)`` of floats.
    package func scatteredBytes(by rank: Int) -> Int { 4 * steps(of: rank).reduce(0) { $0 + $1.given.count } }

    /// The number of bytes that rank `rank` sends in one ``Communicator/gatherRanges(_:_:_:)`` of floats.
    package func gatheredBytes(by rank: Int) -> Int { 4 * steps(of: rank).reduce(0) { $0 + $1.kept.count } }
}
