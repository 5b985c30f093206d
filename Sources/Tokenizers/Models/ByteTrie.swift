/// Byte strings with a number each, as a double array: from a node, a byte leads to `base + byte` if that slot says so.
///
/// (Aoe 1989.) One load per byte of text; slots of 12 bytes.
struct ByteTrie: Sendable {
    private struct Slot: BitwiseCopyable, Sendable {
        /// The base of this node: its children lie at `base + byte`.
        var base: Int32 = 0
        /// The node that this slot is a child of; -1 while it is free.
        var parent: Int32 = -1
        /// The number of the string that ends here, or -1.
        var value: Int32 = -1
    }

    private let slots: FrozenArray<Slot>
    static let root: Int32 = 0

    /// - Parameter entries: Distinct strings; the number of an empty one is not kept.
    init(_ entries: [(key: [UInt8], value: Int32)]) {
        var builder = Builder()
        builder.build(entries.filter { !$0.key.isEmpty }.sorted { $0.key.lexicographicallyPrecedes($1.key) })
        slots = FrozenArray(builder.slots)
    }

    /// The node that `byte` leads to from `node`, or -1.
    @inline(__always)
    func step(_ node: Int32, _ byte: UInt8) -> Int32 {
        let next = slots[Int(node)].base &+ Int32(byte)
        return slots[Int(next)].parent == node ? next : -1
    }

    /// The number of the string that ends at `node`, or -1.
    @inline(__always)
    func value(_ node: Int32) -> Int32 { slots[Int(node)].value }

    /// The end of the longest string that the text at `start` begins with.
    func longest(_ text: Span<UInt8>, from start: Int) -> Int? {
        var (node, index) = (ByteTrie.root, start)
        var end: Int?
        while index < text.count {
            node = step(node, text[index])
            guard node >= 0 else { break }
            index += 1
            if value(node) >= 0 { end = index }
        }
        return end
    }

    private struct Builder {
        var slots = [Slot](repeating: Slot(), count: 512)
        private var firstFree = 1

        /// Places the nodes breadth first, each range of entries that share a prefix at its node.
        mutating func build(_ entries: [(key: [UInt8], value: Int32)]) {
            slots[0].parent = -2
            var queue: [(node: Int32, range: Range<Int>, depth: Int)] = [(0, 0..<entries.count, 0)]
            var head = 0
            while head < queue.count {
                let (node, range, depth) = queue[head]
                head += 1
                var children: [(byte: UInt8, range: Range<Int>)] = []
                var index = range.lowerBound
                while index < range.upperBound {
                    let key = entries[index].key
                    if key.count == depth {
                        slots[Int(node)].value = entries[index].value
                        index += 1
                        continue
                    }
                    let byte = key[depth]
                    var end = index + 1
                    while end < range.upperBound, entries[end].key.count > depth, entries[end].key[depth] == byte {
                        end += 1
                    }
                    children.append((byte, index..<end))
                    index = end
                }
                guard !children.isEmpty else { continue }
                let base = place(children.map(\.byte))
                slots[Int(node)].base = Int32(base)
                for child in children {
                    slots[base + Int(child.byte)].parent = node
                    queue.append((Int32(base + Int(child.byte)), child.range, depth + 1))
                }
            }
            // A look-up may go up to 255 slots beyond the last base.
            slots += [Slot](repeating: Slot(), count: 256)
        }

        /// The first base at which all `bytes` have free slots.
        private mutating func place(_ bytes: [UInt8]) -> Int {
            while firstFree < slots.count, slots[firstFree].parent != -1 { firstFree += 1 }
            var base = max(1, firstFree - Int(bytes[0]))
            var misses = 0
            while true {
                if base + 256 >= slots.count { slots += [Slot](repeating: Slot(), count: slots.count) }
                if bytes.allSatisfy({ slots[base + Int($0)].parent == -1 }) { return base }
                base += 1
                misses += 1
                // Slots that many nodes did not fit into are given up, so that building stays linear.
                if misses == 256 { firstFree = max(firstFree, base - 128) }
            }
        }
    }
}
