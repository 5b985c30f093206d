/// A matcher that runs an expression over one text, in time that grows linearly with its length.
///
/// It tries the ways of a fork in their order and goes back, as the engines do that the patterns were written for. Once
/// that has taken more steps than texts need, it remembers of every fork at every place that no way from there leads
/// on: what lies behind a fork does not depend on how it was reached, because nothing refers back to what a group
/// matched. So each is tried once for a whole text (memoized backtracking, as in J. C. Davis et al., "Using Selective
/// Memoization to Defeat Regular Expression Denial of Service", 2021).
struct ExpressionMatcher {
    /// The number of steps for each byte that are taken before ways are remembered.
    private static let patience = 128

    private let program: ExpressionProgram
    /// The length in bytes of the text that every call is given.
    private let count: Int
    private var stack: [Frame] = []
    private var steps: Int
    private var remembers: Bool
    /// A bit for each fork and place: no way leads on from there.
    private var failed: [UInt64] = []
    /// A bit for each fork and place: the way that is tried leads through there.
    private var onPath: [UInt64] = []
    /// The ends of the bodies of looks and atomic groups that begin, or go on, at a fork and a place.
    private var ends: [Int: Int] = [:]

    private struct Frame {
        /// The instruction that is tried next; below 0: a fork's mark that its ways are used up, as the complement of
        /// its number.
        let instruction: Int32
        let place: Int32
    }

    init(_ program: ExpressionProgram, _ text: Span<UInt8>) {
        (self.program, count) = (program, text.count)
        steps = ExpressionMatcher.patience * text.count + 1_000
        remembers = false
        if program.repeatsNothing { remember() }
    }

    /// The end of the match that begins at `start`, or nil.
    mutating func end(in text: Span<UInt8>, from start: Int) -> Int? {
        if !remembers, let end = run(0, start, in: text, isBody: false) { return end }
        guard remembers else { return nil }
        return run(0, start, in: text, isBody: false)
    }

    private mutating func remember() {
        remembers = true
        let words = (program.forks * (count + 1) + 63) / 64
        failed = Array(repeating: 0, count: words)
        onPath = failed
    }

    /// Matches from an instruction to the end of its body.
    private mutating func run(_ first: Int, _ start: Int, in text: Span<UInt8>, isBody: Bool) -> Int? {
        let base = stack.count
        var (instruction, place) = (first, start)
        while true {
            if !remembers && isSpent(base, isBody) { return nil }
            var goesOn = true
            switch program.instructions[instruction] {
            case .set(let set):
                goesOn = place < count
                if goesOn {
                    let scalar = text.scalar(at: place)
                    goesOn = program.sets[set].contains(scalar.value)
                    place += scalar.length
                }
                instruction += 1
            case .jump(let next): instruction = next
            case .fork(let one, let other, let number):
                if remembers {
                    let key = number * (count + 1) + place
                    if isBody, let end = ends[key] { return finish(base, end, isBody: true) }
                    goesOn = enter(key, number, place)
                }
                if goesOn {
                    stack.append(Frame(instruction: Int32(other), place: Int32(place)))
                    instruction = one
                }
            case .anchor(let anchor):
                goesOn = holds(anchor, place, text)
                instruction += 1
            case .behind(let alternatives, let isNegative):
                goesOn = alternatives.contains { ExpressionMatcher.isBehind($0, place, text) } != isNegative
                instruction += 1
            case .ahead(let next, let isNegative):
                goesOn = (run(instruction + 1, place, in: text, isBody: true) != nil) != isNegative
                instruction = next
            case .atomic(let next):
                if let end = run(instruction + 1, place, in: text, isBody: true) { place = end } else { goesOn = false }
                instruction = next
            case .end: return finish(base, place, isBody: isBody)
            }
            if goesOn { continue }
            guard let frame = nextWay(base) else { return nil }
            (instruction, place) = (Int(frame.instruction), Int(frame.place))
        }
    }

    /// Counts a step; true behind the last one that is taken without memory. From then on ways are remembered, and what
    /// was tried is tried anew.
    @inline(__always)
    private mutating func isSpent(_ base: Int, _ isBody: Bool) -> Bool {
        steps -= 1
        guard steps < 0 else { return false }
        stack.removeSubrange(base...)
        if !isBody { remember() }
        return true
    }

    /// Notes that a fork is tried at a place; false where it led nowhere before, or is being tried.
    private mutating func enter(_ key: Int, _ number: Int, _ place: Int) -> Bool {
        guard !isSet(key, failed), !isSet(key, onPath) else { return false }
        onPath[key >> 6] |= 1 << UInt64(key & 63)
        stack.append(Frame(instruction: ~Int32(number), place: Int32(place)))
        return true
    }

    private func isSet(_ key: Int, _ bits: [UInt64]) -> Bool { bits[key >> 6] >> UInt64(key & 63) & 1 == 1 }

    /// The way to try after one that led nowhere.
    private mutating func nextWay(_ base: Int) -> Frame? {
        while stack.count > base, let frame = stack.popLast() {
            guard frame.instruction < 0 else { return frame }
            let key = Int(~frame.instruction) * (count + 1) + Int(frame.place)
            onPath[key >> 6] &= ~(1 << UInt64(key & 63))
            failed[key >> 6] |= 1 << UInt64(key & 63)
        }
        return nil
    }

    /// Leaves a body, or the expression, that ends at `end`.
    private mutating func finish(_ base: Int, _ end: Int, isBody: Bool) -> Int {
        while stack.count > base, let frame = stack.popLast() {
            guard frame.instruction < 0 else { continue }
            let key = Int(~frame.instruction) * (count + 1) + Int(frame.place)
            onPath[key >> 6] &= ~(1 << UInt64(key & 63))
            if isBody { ends[key] = end }
        }
        return end
    }

    private func holds(_ anchor: ExpressionNode.Anchor, _ place: Int, _ text: Span<UInt8>) -> Bool {
        switch anchor {
        case .textStart: return place == 0
        case .textEnd: return place == count
        case .lineStart: return place == 0 || text[place - 1] == 10 && place < count
        case .lineEnd: return place == count || text[place] == 10
        case .lastLineEnd: return place == count || place == count - 1 && text[place] == 10
        case .wordBoundary, .noWordBoundary:
            let after = place < count && ExpressionSet.isWord(text.scalar(at: place).value)
            let isBoundary = ExpressionMatcher.isWord(before: place, text) != after
            return isBoundary == (anchor == .wordBoundary)
        }
    }

    private static func isWord(before place: Int, _ text: Span<UInt8>) -> Bool {
        place > 0 && ExpressionSet.isWord(text.scalar(before: place).value)
    }

    /// Returns whether scalars of `sets` end at `place`.
    private static func isBehind(_ sets: [ExpressionSet], _ place: Int, _ text: Span<UInt8>) -> Bool {
        var place = place
        for set in sets.reversed() {
            guard place > 0 else { return false }
            let scalar = text.scalar(before: place)
            guard set.contains(scalar.value) else { return false }
            place -= scalar.length
        }
        return true
    }
}
