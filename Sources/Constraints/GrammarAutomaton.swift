import Synchronization

/// A grammar's states, made when they are first reached and kept: each is the set of places, with their stacks of
/// calls, at which a text may be.
///
/// Reading a byte is a look-up from the second time on. States, stacks and depth are bounded; a text that needs more is
/// an error of its own request.
final class GrammarAutomaton: Sendable {
    static let dead = 0
    static let start = 1
    static let maximumStates = 50_000
    static let maximumDepth = 64

    private let grammar: Grammar
    private let states: Mutex<States>

    init(_ grammar: Grammar) throws(ConstraintError) {
        self.grammar = grammar
        var states = States()
        _ = try states.add([], accepts: false)
        guard try states.add(from: [States.place(grammar.starts[0], frame: 0)], grammar) == GrammarAutomaton.start
        else {
            throw ConstraintError(
                place: "", cause: "no text at all fits, not even an empty one",
                remedy: "allow at least one value, nested less deep than \(GrammarAutomaton.maximumDepth) rules")
        }
        self.states = Mutex(states)
    }

    /// The state after each of `bytes`; `dead` where the grammar has no such text.
    func state(after bytes: some Sequence<UInt8>, from state: Int) throws(ConstraintError) -> Int {
        try withStates { states throws(ConstraintError) in
            var state = state
            for byte in bytes where state != GrammarAutomaton.dead {
                state = try states.next(state, byte, self.grammar)
            }
            return state
        }
    }

    /// Returns whether a text may end in `state`.
    func accepts(_ state: Int) -> Bool { states.withLock { $0.accepts[state] } }

    /// Returns whether a text ends in `state`, and no byte can follow.
    func isEnd(_ state: Int) -> Bool { states.withLock { $0.accepts[state] && !$0.reads(state) } }

    /// The bytes of which nothing else can come, from `state` on, at most `limit`; none where the text may end first.
    func forced(from state: Int, limit: Int) throws(ConstraintError) -> [UInt8] {
        try withStates { states throws(ConstraintError) in
            var (state, bytes): (Int, [UInt8]) = (state, [])
            while bytes.count < limit, !states.accepts[state], let byte = states.onlyByte(state, self.grammar) {
                bytes.append(byte)
                state = try states.next(state, byte, self.grammar)
            }
            return bytes
        }
    }

    /// Sets the bit of every token of `vocabulary` whose bytes may come in `state`.
    func fill(_ words: inout [UInt32], _ vocabulary: ConstraintVocabulary, from state: Int) throws(ConstraintError) {
        let filled = try withStates { states throws(ConstraintError) in
            var words = Array(repeating: UInt32(0), count: vocabulary.words)
            var path = Array(repeating: state, count: vocabulary.longest + 1)
            var node = 0
            while node < vocabulary.nodes.count {
                let item = vocabulary.nodes[node]
                let next = try states.next(path[Int(item.depth)], item.byte, self.grammar)
                guard next != GrammarAutomaton.dead else {
                    node = Int(item.end)
                    continue
                }
                path[Int(item.depth) + 1] = next
                for token in vocabulary.tokens(at: node) { words[Int(token) / 32] |= 1 << UInt32(token % 32) }
                node += 1
            }
            return words
        }
        words = filled
    }

    /// `Mutex.withLock` with a typed error.
    private func withStates<Result: Sendable>(_ body: (inout States) throws(ConstraintError) -> Result)
        throws(ConstraintError) -> Result
    {
        let result: Swift.Result<Result, ConstraintError> = states.withLock { states in
            do throws(ConstraintError) { return .success(try body(&states)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// The states met so far: sets of places in the grammar, numbered.
private struct States {
    /// A node, and the frame to return to.
    typealias Place = UInt64

    private var places: [[Place]] = []
    private(set) var accepts: [Bool] = []
    private var numbers: [[Place]: Int] = [:]
    /// The transitions by byte, 256 for each state; −1 where it has not been asked for.
    private var table: [Int32] = []
    private var frames: [(next: Int, parent: Int, depth: Int)] = [(0, 0, 0)]
    private var frameNumbers: [Place: Int] = [:]

    static func place(_ node: Int, frame: Int) -> Place { UInt64(node) << 32 | UInt64(frame) }

    mutating func next(_ state: Int, _ byte: UInt8, _ grammar: Grammar) throws(ConstraintError) -> Int {
        let known = table[state << 8 | Int(byte)]
        if known >= 0 { return Int(known) }
        var reached: [Place] = []
        for place in places[state] {
            guard case .byte(let range, let next) = grammar.nodes[Int(place >> 32)], range.contains(byte) else {
                continue
            }
            reached.append(States.place(next, frame: Int(place & 0xFFFF_FFFF)))
        }
        let next = reached.isEmpty ? GrammarAutomaton.dead : try add(from: reached, grammar)
        table[state << 8 | Int(byte)] = Int32(next)
        return next
    }

    func reads(_ state: Int) -> Bool { !places[state].isEmpty }

    /// The only byte that can come in `state`.
    func onlyByte(_ state: Int, _ grammar: Grammar) -> UInt8? {
        var only: UInt8?
        for place in places[state] {
            guard case .byte(let range, _) = grammar.nodes[Int(place >> 32)] else { continue }
            guard range.count == 1, only == nil || only == range.lowerBound else { return nil }
            only = range.lowerBound
        }
        return only
    }

    /// The state of these places and all that are reached from them without a byte.
    mutating func add(from begun: [Place], _ grammar: Grammar) throws(ConstraintError) -> Int {
        var (open, seen, reading, accepts): ([Place], Set<Place>, [Place], Bool) = ([], [], [], false)
        // Only where the text can still end: no beginning leads into what never does, or ends too deep.
        func visit(_ node: Int, _ frame: Int) {
            let place = States.place(node, frame: frame)
            guard grammar.depths[node] <= GrammarAutomaton.maximumDepth - frames[frame].depth else { return }
            if seen.insert(place).inserted { open.append(place) }
        }
        for place in begun { visit(Int(place >> 32), Int(place & 0xFFFF_FFFF)) }
        while let place = open.popLast() {
            let (node, frame) = (Int(place >> 32), Int(place & 0xFFFF_FFFF))
            switch grammar.nodes[node] {
            case .byte: reading.append(place)
            case .split(let nexts): for next in nexts { visit(next, frame) }
            case .end:
                if frame == 0 { accepts = true } else { visit(frames[frame].next, frames[frame].parent) }
            case .call(let rule, let next):
                // A call at the end of a rule returns where the rule does.
                if case .end = grammar.nodes[next] {
                    visit(grammar.starts[rule], frame)
                } else if let deeper = try call(returningTo: next, from: frame) {
                    visit(grammar.starts[rule], deeper)
                }
            }
        }
        return try add(reading.sorted(), accepts: accepts)
    }

    /// The state of places that read; with the mark at the end, of those that may also end.
    mutating func add(_ reading: [Place], accepts: Bool) throws(ConstraintError) -> Int {
        let key = accepts ? reading + [.max] : reading
        if let known = numbers[key] { return known }
        guard places.count < GrammarAutomaton.maximumStates else {
            throw ConstraintError(
                place: "",
                cause: "the text leads through more than \(GrammarAutomaton.maximumStates) states of the grammar",
                remedy: "lower its counts of repetitions, or its ambiguity")
        }
        numbers[key] = places.count
        places.append(reading)
        self.accepts.append(accepts)
        table.append(contentsOf: repeatElement(-1, count: 256))
        return places.count - 1
    }

    /// Calls a rule; nil where calls would be nested too deep: such texts do not come.
    private mutating func call(returningTo next: Int, from frame: Int) throws(ConstraintError) -> Int? {
        let key = States.place(next, frame: frame)
        if let known = frameNumbers[key] { return known }
        let depth = frames[frame].depth + 1
        guard depth <= GrammarAutomaton.maximumDepth else { return nil }
        guard frames.count < GrammarAutomaton.maximumStates else {
            throw ConstraintError(
                place: "", cause: "the text leads through more than \(GrammarAutomaton.maximumStates) stacks of rules",
                remedy: "limit how deep the grammar nests")
        }
        frames.append((next, frame, depth))
        frameNumbers[key] = frames.count - 1
        return frames.count - 1
    }
}
