/// An ordered list of members with unique keys, found by the bytes of the key in constant time.
public struct JSONObject: Sendable {
    /// A key and its value.
    public typealias Member = (key: String, value: JSON)

    /// The members in the order of the text, or of insertion.
    public private(set) var members: [Member] = []
    private var index = KeyIndex()

    /// An object without members.
    public init() {}

    /// - Returns: nil, and the position of the first repeated key in `duplicate`, when a key occurs twice.
    package init?(members: [Member], duplicate: inout Int) {
        self.members = members
        if let position = index.rebuild(over: members) {
            duplicate = position
            return nil
        }
    }

    /// An object of members; of those with equal keys, the value of the last at the place of the first.
    package init(lastOf members: [Member]) {
        for (key, value) in members { self[key] = value }
    }

    /// The number of members.
    public var count: Int { members.count }
    /// True where there are no members.
    public var isEmpty: Bool { members.isEmpty }
    /// The keys in the order of the members.
    public var keys: [String] { members.map(\.key) }

    /// The value under `key`; setting appends or replaces, setting nil removes (in linear time).
    public subscript(key: String) -> JSON? {
        get { index.find(key, in: members).map { members[$0].value } }
        set {
            switch (index.find(key, in: members), newValue) {
            case (let position?, let value?): members[position].value = value
            case (let position?, nil):
                members.remove(at: position)
                _ = index.rebuild(over: members)
            case (nil, let value?):
                members.append((key, value))
                index.append(over: members)
            case (nil, nil): break
            }
        }
    }
}

/// Equal when the members are, in order.
extension JSONObject: Equatable {
    /// Equality of the members, in order.
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count
            && zip(a.members, b.members).allSatisfy { $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value }
    }
}

/// An open-addressed table of positions, probed linearly. A few keys are compared one by one instead, without a table.
///
/// Keys are hashed by their bytes with the process's random seed, so that no file can be made to collide.
private struct KeyIndex: Sendable {
    private static let linearLimit = 8
    private static let empty: Int32 = -1
    private var slots: [Int32] = []

    func find(_ key: String, in members: [JSONObject.Member]) -> Int? {
        guard !slots.isEmpty else { return members.firstIndex { $0.key.hasSameBytes(as: key) } }
        let position = slots[slot(of: key, in: members)]
        return position == KeyIndex.empty ? nil : Int(position)
    }

    /// Takes in the last of `members`, whose key is new.
    mutating func append(over members: [JSONObject.Member]) {
        guard members.count > KeyIndex.linearLimit else { return }
        guard members.count * 2 <= slots.count, let last = members.last else {
            _ = rebuild(over: members)
            return
        }
        slots[slot(of: last.key, in: members)] = Int32(members.count - 1)
    }

    /// - Returns: the position of the first key that occurred before, if any.
    mutating func rebuild(over members: [JSONObject.Member]) -> Int? {
        guard members.count > KeyIndex.linearLimit else {
            slots = []
            return members.indices.first { position in
                members[..<position].contains { $0.key.hasSameBytes(as: members[position].key) }
            }
        }
        var capacity = 32
        while capacity < members.count * 3 { capacity *= 2 }
        slots = Array(repeating: KeyIndex.empty, count: capacity)
        for position in members.indices {
            let slot = slot(of: members[position].key, in: members)
            guard slots[slot] == KeyIndex.empty else { return position }
            slots[slot] = Int32(position)
        }
        return nil
    }

    /// The slot that holds `key`, or the empty one where it belongs.
    private func slot(of key: String, in members: [JSONObject.Member]) -> Int {
        var hasher = Hasher()
        hasher.combine(bytesOf: key)
        let mask = slots.count - 1
        var slot = hasher.finalize() & mask
        while slots[slot] != KeyIndex.empty, !members[Int(slots[slot])].key.hasSameBytes(as: key) {
            slot = (slot + 1) & mask
        }
        return slot
    }
}
