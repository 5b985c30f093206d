/// Prefix identities: a number for each run of 64 tokens after a known run, so that equal beginnings of texts are found
/// block by block.
///
/// A key names its parent's number and holds the tokens themselves, which are compared after the hash: a collision
/// cannot share a block. A run is known as long as a block of some group holds its keys and values, or a longer run
/// continues it.
struct PrefixIndex: Sendable {
    /// The serial number of a run; 0 is the empty beginning.
    typealias Serial = UInt64

    /// A run of tokens behind another one, in one namespace.
    private struct Key: Hashable {
        let parent: Serial
        /// Model, adapter, cache type and tenant: texts of different ones never meet.
        let namespace: Int
        let tokens: [Int32]
    }

    /// A run, how many use it, and those that follow it.
    private struct Entry {
        let key: Key
        var uses: Int
        var children: [Serial] = []
    }

    /// The number of runs after one parent that are compared token by token: the latest.
    private static let compared = 64

    private var serials: [Key: Serial] = [:]
    private var entries: [Serial: Entry] = [:]
    private var roots: [Int: [Serial]] = [:]
    private var last: Serial = 0

    var count: Int { entries.count }

    func serial(after parent: Serial, _ tokens: ArraySlice<Int32>, namespace: Int) -> Serial? {
        serials[Key(parent: parent, namespace: namespace, tokens: Array(tokens))]
    }

    /// The number of a run, which is held until it is dropped as often as this was called.
    mutating func hold(after parent: Serial, _ tokens: ArraySlice<Int32>, namespace: Int) -> Serial {
        let key = Key(parent: parent, namespace: namespace, tokens: Array(tokens))
        if let known = serials[key] {
            entries[known]?.uses += 1
            return known
        }
        last += 1
        serials[key] = last
        entries[last] = Entry(key: key, uses: 1)
        if parent == 0 {
            roots[namespace, default: []].append(last)
        } else {
            entries[parent]?.uses += 1
            entries[parent]?.children.append(last)
        }
        return last
    }

    mutating func retain(_ serial: Serial) { entries[serial]?.uses += 1 }

    mutating func drop(_ serial: Serial) {
        guard var entry = entries[serial] else { return }
        entry.uses -= 1
        entries[serial] = entry
        guard entry.uses == 0 else { return }
        entries[serial] = nil
        serials[entry.key] = nil
        if entry.key.parent == 0 {
            roots[entry.key.namespace]?.removeAll { $0 == serial }
            if roots[entry.key.namespace]?.isEmpty == true { roots[entry.key.namespace] = nil }
        } else {
            entries[entry.key.parent]?.children.removeAll { $0 == serial }
            drop(entry.key.parent)
        }
    }

    /// The known run after `parent` that begins with most of `tokens`, and with how many; nil where none shares the
    /// first.
    func longestBeginning(after parent: Serial, _ tokens: ArraySlice<Int32>, namespace: Int) -> (
        serial: Serial, count: Int
    )? {
        let children = parent == 0 ? roots[namespace] : entries[parent]?.children
        var best: (serial: Serial, count: Int)?
        for child in (children ?? []).suffix(PrefixIndex.compared) {
            guard let known = entries[child]?.key.tokens else { continue }
            let count = zip(known, tokens).prefix { $0 == $1 }.count
            if count > best?.count ?? 0 { best = (child, count) }
        }
        return best
    }
}
