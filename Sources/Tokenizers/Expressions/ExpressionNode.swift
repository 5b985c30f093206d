/// A regular expression as a tree. What is deeper than the parser allows is refused, so walking it needs bounded stack.
indirect enum ExpressionNode: Sendable {
    /// A scalar of a set.
    case set(ExpressionSet)
    case sequence([ExpressionNode])
    case choice([ExpressionNode])
    case repetition(ExpressionNode, least: Int, most: Int?, Preference)
    /// An atomic group, matched once and not gone back into: `(?>…)`.
    case atomic(ExpressionNode)
    /// Lookahead: `(?=…)`, `(?!…)`.
    case ahead(ExpressionNode, isNegative: Bool)
    /// Lookbehind: `(?<=…)`, `(?<!…)`, alternatives of fixed length.
    case behind([[ExpressionSet]], isNegative: Bool)
    case anchor(Anchor)

    /// The preference of a repetition: which of several lengths is tried first.
    enum Preference: Sendable { case longest, shortest, possessive }

    /// An anchor, which matches a place and no scalar.
    enum Anchor: Sendable {
        case lineStart, lineEnd, textStart, textEnd, lastLineEnd, wordBoundary, noWordBoundary
    }

    /// True where it can match nothing at all.
    var isNullable: Bool {
        switch self {
        case .set: false
        case .sequence(let parts): parts.allSatisfy(\.isNullable)
        case .choice(let parts): parts.contains(where: \.isNullable)
        case .repetition(let body, let least, _, _): least == 0 || body.isNullable
        case .atomic(let body): body.isNullable
        case .ahead, .behind, .anchor: true
        }
    }

    /// The alternatives as sets one after the other; nil where a length is not fixed.
    var fixedAlternatives: [[ExpressionSet]]? {
        switch self {
        case .set(let set): return [[set]]
        case .sequence(let parts):
            var result: [[ExpressionSet]] = [[]]
            for part in parts {
                guard let next = part.fixedAlternatives, result.count * next.count <= 256 else { return nil }
                result = result.flatMap { head in next.map { head + $0 } }
            }
            return result
        case .choice(let parts):
            var result: [[ExpressionSet]] = []
            for part in parts {
                guard let next = part.fixedAlternatives, result.count + next.count <= 256 else { return nil }
                result += next
            }
            return result
        case .repetition(let body, let least, let most?, _) where least == most && most <= 64:
            return ExpressionNode.sequence(Array(repeating: body, count: most)).fixedAlternatives
        default: return nil
        }
    }
}
