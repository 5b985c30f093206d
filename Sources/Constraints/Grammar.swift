/// A context-free grammar over bytes, compiled: one nondeterministic automaton per rule, joined by calls. UTF-8 is
/// built in.
///
/// Compiling is bounded: a grammar that is too large, or whose rules call themselves before they read anything, is
/// refused.
public struct Grammar: Sendable {
    /// A node of the automaton, by its number.
    enum Node: Sendable {
        /// A byte of the range.
        case byte(ClosedRange<UInt8>, next: Int)
        case split([Int])
        case call(rule: Int, next: Int)
        /// Returns from the rule.
        case end
    }

    /// The maximum number of nodes of one grammar.
    static let maximumNodes = 100_000

    private(set) var nodes: [Node] = [.end]
    private(set) var starts: [Int] = []
    /// The depth of calls that a text goes at least between a node and the end of its rule; `never` where there is no
    /// end.
    private(set) var depths: [Int] = []
    static let never = Int.max

    /// - Parameter rules: the first is where a text begins.
    /// - Throws: for a grammar beyond the bounds.
    init(rules: [GrammarExpression], names: [String]) throws(ConstraintError) {
        starts = Array(repeating: 0, count: rules.count)
        for (index, rule) in rules.enumerated() { starts[index] = try compile(rule, before: 0, depth: 0) }
        if let rule = leftRecursiveRule() {
            throw ConstraintError(
                place: names.indices.contains(rule) ? names[rule] : "",
                cause: "the rule calls itself before it has read anything",
                remedy: "write the repetition with * or +, or let the rule call itself at its end")
        }
        depths = Grammar.depths(nodes, starts, most: GrammarAutomaton.maximumDepth)
    }

    /// The minimum depth of calls from each node on, up to `most`: until no node's sinks any more.
    private static func depths(_ nodes: [Node], _ starts: [Int], most: Int) -> [Int] {
        var depths = Array(repeating: never, count: nodes.count)
        func depth(_ node: Node) -> Int {
            switch node {
            case .end: return 0
            case .byte(_, let next): return depths[next]
            case .split(let nexts): return nexts.reduce(never) { min($0, depths[$1]) }
            case .call(let rule, let next):
                let inner = depths[starts[rule]]
                // A call at the end of a rule returns where the rule does.
                if case .end = nodes[next] { return inner }
                return inner >= most ? never : max(inner + 1, depths[next])
            }
        }
        var isSettled = false
        while !isSettled {
            isSettled = true
            for (index, node) in nodes.enumerated() {
                let found = depth(node)
                if found < depths[index] { (depths[index], isSettled) = (found, false) }
            }
        }
        return depths
    }

    private mutating func add(_ node: Node) throws(ConstraintError) -> Int {
        guard nodes.count < Grammar.maximumNodes else {
            throw ConstraintError(
                place: "", cause: "the grammar needs more than \(Grammar.maximumNodes) nodes",
                remedy: "lower its counts of repetitions")
        }
        nodes.append(node)
        return nodes.count - 1
    }

    /// The node at which `expression` begins, when `next` follows it.
    private mutating func compile(_ expression: GrammarExpression, before next: Int, depth: Int) throws(ConstraintError)
        -> Int
    {
        guard depth < 256 else {
            throw ConstraintError(
                place: "", cause: "the grammar is nested deeper than 256", remedy: "name parts of it as rules")
        }
        switch expression {
        case .bytes(let bytes):
            var next = next
            for byte in bytes.reversed() { next = try add(.byte(byte...byte, next: next)) }
            return next
        case .scalars(let scalars):
            var starts: [Int] = []
            for sequence in scalars.utf8 {
                var at = next
                for range in sequence.reversed() { at = try add(.byte(range, next: at)) }
                starts.append(at)
            }
            return starts.count == 1 ? starts[0] : try add(.split(starts))
        case .sequence(let parts):
            var next = next
            for part in parts.reversed() { next = try compile(part, before: next, depth: depth + 1) }
            return next
        case .choice(let parts):
            var starts: [Int] = []
            for part in parts { starts.append(try compile(part, before: next, depth: depth + 1)) }
            return try add(.split(starts))
        case .repeated(let part, let minimum, let maximum):
            return try compile(part, minimum, maximum, before: next, depth: depth + 1)
        case .rule(let rule): return try add(.call(rule: rule, next: next))
        }
    }

    private mutating func compile(
        _ part: GrammarExpression, _ minimum: Int, _ maximum: Int?, before next: Int, depth: Int
    ) throws(ConstraintError) -> Int {
        var at = next
        if let maximum {
            for _ in 0..<max(0, maximum - minimum) {
                at = try add(.split([compile(part, before: at, depth: depth), next]))
            }
        } else {
            let loop = try add(.split([]))
            nodes[loop] = .split([try compile(part, before: loop, depth: depth), next])
            at = loop
        }
        for _ in 0..<minimum { at = try compile(part, before: at, depth: depth) }
        return at
    }

    // MARK: Left recursion

    /// A rule from which, without reading a byte, the rule itself is called.
    private func leftRecursiveRule() -> Int? {
        var isNullable = Array(repeating: false, count: starts.count)
        var calls = Array(repeating: Set<Int>(), count: starts.count)
        var changed = true
        while changed {
            changed = false
            for rule in starts.indices {
                let (reached, ends) = reachedWithoutBytes(from: starts[rule], isNullable)
                if ends && !isNullable[rule] { (isNullable[rule], changed) = (true, true) }
                calls[rule] = reached
            }
        }
        var state = Array(repeating: 0, count: starts.count)  // 1: on the path, 2: done
        for rule in starts.indices where state[rule] == 0 {
            var path: [(rule: Int, left: [Int])] = [(rule, Array(calls[rule]))]
            state[rule] = 1
            while let last = path.indices.last {
                guard let next = path[last].left.popLast() else {
                    state[path[last].rule] = 2
                    path.removeLast()
                    continue
                }
                if state[next] == 1 { return next }
                guard state[next] == 0 else { continue }
                state[next] = 1
                path.append((next, Array(calls[next])))
            }
        }
        return nil
    }

    private func reachedWithoutBytes(from start: Int, _ isNullable: [Bool]) -> (calls: Set<Int>, ends: Bool) {
        var (calls, ends, seen, open): (Set<Int>, Bool, Set<Int>, [Int]) = ([], false, [start], [start])
        while let node = open.popLast() {
            switch nodes[node] {
            case .byte: break
            case .end: ends = true
            case .split(let nexts): for next in nexts where seen.insert(next).inserted { open.append(next) }
            case .call(let rule, let next):
                calls.insert(rule)
                if isNullable[rule], seen.insert(next).inserted { open.append(next) }
            }
        }
        return (calls, ends)
    }
}
