/// The requests of a scheduler by number: found by hashing, changed where they lie.
struct EntryTable: Sendable {
    private var places: [Int: Int] = [:]
    private(set) var values: [ScheduledEntry] = []

    var count: Int { values.count }

    subscript(id: Int) -> ScheduledEntry? { places[id].map { values[$0] } }

    /// Adds an entry, or puts it in the place of the one of its number.
    mutating func set(_ entry: ScheduledEntry) {
        if let place = places[entry.request.id] {
            values[place] = entry
        } else {
            places[entry.request.id] = values.count
            values.append(entry)
        }
    }

    mutating func remove(_ id: Int) {
        guard let place = places.removeValue(forKey: id) else { return }
        values.swapAt(place, values.count - 1)
        values.removeLast()
        if place < values.count { places[values[place].request.id] = place }
    }

    /// Changes an entry, if there is one of this number, without a copy: a dictionary's own access would allocate each
    /// time.
    mutating func change(_ id: Int, _ body: (inout ScheduledEntry) -> Void) {
        if let place = places[id] { body(&values[place]) }
    }
}
