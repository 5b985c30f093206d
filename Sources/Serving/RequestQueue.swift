/// The requests of a scheduler in the order in which they are served, found by halving, with the sums that are asked of
/// those who wait.
struct RequestQueue: Sendable {
    private(set) var order: [Int] = []
    /// The number of texts among them that are read in one piece.
    private(set) var uncut = 0
    private(set) var tokens = 0
    /// The number of requests by tenant; of none where there is none.
    private(set) var tenants: [Int: Int] = [:]

    mutating func insert(_ entry: ScheduledEntry, of entries: EntryTable) {
        order.insert(entry.request.id, at: place(of: entry, entries))
        count(entry, 1)
    }

    /// Takes a request out, if it is there.
    ///
    /// - Precondition: its entry is still in the table.
    mutating func remove(_ id: Int, of entries: EntryTable) {
        guard let entry = entries[id] else { return }
        let place = place(of: entry, entries) - 1
        guard order.indices.contains(place), order[place] == id else { return }
        order.remove(at: place)
        count(entry, -1)
    }

    /// A request that waits has one token more.
    mutating func addToken() { tokens += 1 }

    private mutating func count(_ entry: ScheduledEntry, _ sign: Int) {
        if entry.request.kind == .uncut { uncut += sign }
        tokens += sign * entry.tokens.count
        let own = (tenants[entry.request.tenant] ?? 0) + sign
        tenants[entry.request.tenant] = own == 0 ? nil : own
    }

    /// The place behind a request and all that come before it.
    private func place(of entry: ScheduledEntry, _ entries: EntryTable) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[order[middle]].map({ entry.comesBefore($0) }) ?? false {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }
}
