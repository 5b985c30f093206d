package import MartletGeneration
import MartletJSON
package import MartletTokenizers
import Synchronization

/// A constraint on generated text: a JSON schema, a regular expression or a grammar.
public enum OutputConstraint: Sendable, Hashable {
    /// A JSON text that is valid under this JSON schema; see `Documentation/Constraints.md` for the keywords.
    case schema(String)
    /// A text that this regular expression matches as a whole.
    case regularExpression(String)
    /// A text of this grammar in llama.cpp's GBNF.
    case grammar(String)

    /// The grammar of the constraint, compiled.
    ///
    /// - Throws: ``ConstraintError`` naming the place and the keyword that is not supported.
    public func compiled() throws(ConstraintError) -> Grammar {
        switch self {
        case .schema(let text):
            let schema: JSON
            do throws(JSONError) { schema = try JSON(parsing: text) } catch {
                throw ConstraintError(place: "schema", cause: "\(error)", remedy: "give JSON")
            }
            return try SchemaTranslator.grammar(schema)
        case .regularExpression(let pattern):
            let expression = try RegularExpression.expression(pattern, searches: false)
            return try Grammar(rules: [expression], names: ["expression"])
        case .grammar(let text): return try GrammarText.grammar(text)
        }
    }
}

/// Constrained decoding: which tokens may come next, so that the text is one of a grammar. One of these for each
/// sequence; what they learn of the grammar they share.
package struct GrammarConstraint: TokenConstraint {
    private let shared: ConstraintMasks
    private let stopTokens: Set<Int32>
    private var state = GrammarAutomaton.start
    private var hasStopped = false

    /// - Parameter stopTokens: they may come where the text may end, and only there.
    package init(_ masks: ConstraintMasks, stopTokens: Set<Int32>) {
        (shared, self.stopTokens) = (masks, stopTokens)
    }

    package func allowed() throws -> TokenMask? {
        guard state != GrammarAutomaton.dead else {
            throw ConstraintError(
                place: "", cause: "a token was chosen that does not continue a text of the grammar",
                remedy: "choose among the allowed tokens")
        }
        var mask = try shared.mask(of: state)
        if shared.automaton.accepts(state) { for token in stopTokens { mask[token] = true } }
        if mask.first == nil {
            throw ConstraintError(
                place: "", cause: "no token of the vocabulary continues the text", remedy: "widen the grammar")
        }
        return mask
    }

    package mutating func append(_ token: Int32) {
        if stopTokens.contains(token) && shared.automaton.accepts(state) {
            hasStopped = true
        } else {
            state = (try? shared.state(after: token, from: state)) ?? GrammarAutomaton.dead
        }
    }

    package var isFinished: Bool { hasStopped || shared.automaton.isEnd(state) }

    package func forcedTokens() throws -> [Int32] { try shared.forcedTokens(from: state) }
}

/// A grammar beside a vocabulary: the masks of states that have been reached, kept within a limit of memory. Shared by
/// all sequences.
package final class ConstraintMasks: Sendable {
    /// The size in bytes of the masks that are kept.
    private static let limit = 64 << 20

    let automaton: GrammarAutomaton
    private let vocabulary: ConstraintVocabulary
    private let bytes: @Sendable (Int32) -> [UInt8]?
    private let encode: (@Sendable ([UInt8]) -> [Int32])?
    private let masks = Mutex<[Int: TokenMask]>([:])

    /// - Parameters:
    ///   - bytes: of a token; nil for one that adds no text.
    ///   - encode: the tokens that the model's tokenizer makes of bytes; nil jumps over nothing.
    package init(
        _ grammar: Grammar, _ vocabulary: ConstraintVocabulary, bytes: @escaping @Sendable (Int32) -> [UInt8]?,
        encode: (@Sendable ([UInt8]) -> [Int32])? = nil
    ) throws(ConstraintError) {
        automaton = try GrammarAutomaton(grammar)
        (self.vocabulary, self.bytes, self.encode) = (vocabulary, bytes, encode)
    }

    func mask(of state: Int) throws(ConstraintError) -> TokenMask {
        if let known = masks.withLock({ $0[state] }) { return known }
        var words: [UInt32] = []
        try automaton.fill(&words, vocabulary, from: state)
        let mask = TokenMask(words: words, vocabulary: vocabulary.count)
        masks.withLock { masks in
            if masks.count * vocabulary.words * 4 > ConstraintMasks.limit { masks = [:] }
            masks[state] = mask
        }
        return mask
    }

    func state(after token: Int32, from state: Int) throws(ConstraintError) -> Int {
        guard let bytes = bytes(token) else { return GrammarAutomaton.dead }
        return try automaton.state(after: bytes, from: state)
    }

    /// The tokens of what must come, but for the last one, which what follows might have changed; none where that is
    /// less than one token.
    func forcedTokens(from state: Int) throws(ConstraintError) -> [Int32] {
        guard let encode else { return [] }
        let forced = try automaton.forced(from: state, limit: 256)
        guard forced.count > 1 else { return [] }
        var (tokens, left): ([Int32], ArraySlice<UInt8>) = ([], forced[...])
        for token in encode(forced) {
            guard let own = bytes(token), !own.isEmpty, left.starts(with: own) else { break }
            tokens.append(token)
            left = left.dropFirst(own.count)
        }
        return Array(tokens.dropLast())
    }
}

extension ConstraintMasks {
    /// The masks for a model's tokenizer, and logits of `count` tokens.
    package convenience init(
        _ constraint: OutputConstraint, _ vocabulary: ConstraintVocabulary, _ tokenizer: Tokenizer
    ) throws(ConstraintError) {
        try self.init(
            constraint.compiled(), vocabulary,
            bytes: { tokenizer.isSpecial($0) ? nil : tokenizer.bytes(ofToken: $0) },
            encode: { bytes in
                (try? tokenizer.encode(String(decoding: bytes, as: UTF8.self), addSpecialTokens: false)) ?? []
            })
    }
}
