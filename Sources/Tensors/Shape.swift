/// The extents of a tensor, at most four, stored inline so that making a tensor allocates nothing for its shape.
package struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
    package static let maximumRank = 4

    private var extents: (Int, Int, Int, Int)
    package let rank: Int

    /// - Precondition: at most four extents, none negative, and a product that fits an `Int`.
    package init(_ extents: some Collection<Int>) {
        precondition(extents.count <= Shape.maximumRank, "Shape: rank \(extents.count) is above \(Shape.maximumRank)")
        self.extents = (1, 1, 1, 1)
        rank = extents.count
        for (axis, extent) in extents.enumerated() {
            precondition(extent >= 0, "Shape: extent \(extent) of axis \(axis) is negative")
            set(axis, extent)
        }
    }

    package init(arrayLiteral elements: Int...) { self.init(elements) }

    /// A shape read from outside: nil where `init` would trap.
    package init?(checked extents: [Int]) {
        guard extents.count <= Shape.maximumRank, Shape.product(extents) != nil else { return nil }
        self.init(extents)
    }

    /// The number of elements, or nil when an extent is negative or the product overflows.
    package static func product(_ extents: [Int]) -> Int? {
        var product = 1
        for extent in extents {
            let (next, overflow) = product.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else { return nil }
            product = next
        }
        return product
    }

    package var elements: Int { extents.0 * extents.1 * extents.2 * extents.3 }

    /// The extent of the last axis: 1 for a scalar.
    package var width: Int { rank == 0 ? 1 : self[rank - 1] }

    /// The product of all axes but the last.
    package var rows: Int {
        var rows = 1
        for axis in 0..<max(rank - 1, 0) { rows *= self[axis] }
        return rows
    }

    package subscript(axis: Int) -> Int {
        precondition(axis >= 0 && axis < rank, "Shape: axis \(axis) of \(self)")
        return switch axis {
        case 0: extents.0
        case 1: extents.1
        case 2: extents.2
        default: extents.3
        }
    }

    private mutating func set(_ axis: Int, _ extent: Int) {
        switch axis {
        case 0: extents.0 = extent
        case 1: extents.1 = extent
        case 2: extents.2 = extent
        default: extents.3 = extent
        }
    }

    package var array: [Int] { (0..<rank).map { self[$0] } }
    package var description: String { "[" + array.map(String.init).joined(separator: ", ") + "]" }

    package static func == (a: Shape, b: Shape) -> Bool { a.rank == b.rank && a.extents == b.extents }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(rank)
        for axis in 0..<rank { hasher.combine(self[axis]) }
    }
}
