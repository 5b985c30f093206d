/// An expression as instructions.
struct ExpressionProgram: Sendable {
    /// An instruction of the matching machine.
    enum Instruction: Sendable {
        /// Goes on behind one scalar of a set.
        case set(Int)
        /// Tries `first`, then `second`; the forks are numbered.
        case fork(first: Int, second: Int, number: Int)
        case jump(Int)
        case anchor(ExpressionNode.Anchor)
        /// Goes on at `next` where the body, which begins behind this, can be matched here, or cannot.
        case ahead(next: Int, isNegative: Bool)
        /// The body, which begins behind this, is matched once; goes on at `next` where it ended.
        case atomic(next: Int)
        case behind([[ExpressionSet]], isNegative: Bool)
        /// The end of a body, or of the expression.
        case end
    }

    /// The maximum number of instructions and forks that an expression may have.
    private static let maximumCount = 20_000
    private static let maximumForks = 256

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [ExpressionSet] = []
    private(set) var forks = 0
    /// True where something that can be empty is repeated, so that forks must know where they have been.
    private(set) var repeatsNothing = false

    init(_ node: ExpressionNode) throws(ExpressionParser.Failure) {
        try add(node)
        instructions.append(.end)
        guard forks <= ExpressionProgram.maximumForks else {
            throw ExpressionParser.Failure(reason: "more than \(ExpressionProgram.maximumForks) choices")
        }
    }

    private mutating func append(_ instruction: Instruction) throws(ExpressionParser.Failure) {
        guard instructions.count < ExpressionProgram.maximumCount else {
            throw ExpressionParser.Failure(reason: "repetitions of more than \(ExpressionProgram.maximumCount) parts")
        }
        instructions.append(instruction)
    }

    private mutating func add(_ node: ExpressionNode) throws(ExpressionParser.Failure) {
        switch node {
        case .set(let set):
            sets.append(set)
            try append(.set(sets.count - 1))
        case .sequence(let parts): for part in parts { try add(part) }
        case .choice(let parts): try addChoice(parts)
        case .repetition(let body, let least, let most, .possessive):
            try addBody(.repetition(body, least: least, most: most, .longest)) { .atomic(next: $0) }
        case .repetition(let body, let least, let most, let preference):
            for _ in 0..<least { try add(body) }
            guard let most else { return try addLoop(body, preference) }
            var forksToEnd: [Int] = []
            for _ in least..<most {
                forksToEnd.append(try addFork())
                try add(body)
            }
            for place in forksToEnd { close(place, body: place + 1, other: instructions.count, preference) }
        case .atomic(let body): try addBody(body) { .atomic(next: $0) }
        case .ahead(let body, let isNegative): try addBody(body) { .ahead(next: $0, isNegative: isNegative) }
        case .behind(let alternatives, let isNegative): try append(.behind(alternatives, isNegative: isNegative))
        case .anchor(let anchor): try append(.anchor(anchor))
        }
    }

    /// Adds a loop for any number of `body`.
    private mutating func addLoop(_ body: ExpressionNode, _ preference: ExpressionNode.Preference)
        throws(ExpressionParser.Failure)
    {
        if body.isNullable { repeatsNothing = true }
        let place = try addFork()
        try add(body)
        try append(.jump(place))
        close(place, body: place + 1, other: instructions.count, preference)
    }

    private mutating func addChoice(_ parts: [ExpressionNode]) throws(ExpressionParser.Failure) {
        var jumps: [Int] = []
        for (index, part) in parts.enumerated() {
            guard index < parts.count - 1 else {
                try add(part)
                break
            }
            let place = try addFork()
            try add(part)
            jumps.append(instructions.count)
            try append(.jump(0))
            close(place, body: place + 1, other: instructions.count, .longest)
        }
        for jump in jumps { instructions[jump] = .jump(instructions.count) }
    }

    /// An instruction with a body of its own behind it.
    private mutating func addBody(_ body: ExpressionNode, _ make: (Int) -> Instruction)
        throws(ExpressionParser.Failure)
    {
        let place = instructions.count
        try append(.end)
        try add(body)
        try append(.end)
        instructions[place] = make(instructions.count)
    }

    /// A fork whose ways are not known yet.
    private mutating func addFork() throws(ExpressionParser.Failure) -> Int {
        try append(.fork(first: 0, second: 0, number: forks))
        forks += 1
        return instructions.count - 1
    }

    private mutating func close(_ place: Int, body: Int, other: Int, _ preference: ExpressionNode.Preference) {
        guard case .fork(_, _, let number) = instructions[place] else { return }
        let takesBodyFirst = preference != .shortest
        instructions[place] = .fork(
            first: takesBodyFirst ? body : other, second: takesBodyFirst ? other : body, number: number)
    }
}
