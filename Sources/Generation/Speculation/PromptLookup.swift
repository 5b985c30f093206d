/// Prompt look-up drafting: what followed the last occurrence of the last three tokens, or two, is guessed to follow
/// again. Costs no model.
///
/// Source: Saxena, "Prompt lookup decoding", 2023. Texts that copy (summaries, edits, quotations) are guessed well.
package struct PromptLookup: Sendable {
    /// The position in the text behind the last occurrence of a run, by its length and tokens.
    private var triples: [Run: Int] = [:]
    private var pairs: [Run: Int] = [:]
    private var tokens: [Int32] = []

    /// Three tokens in a row.
    private struct Run: Hashable {
        let first: Int32
        let second: Int32
        let third: Int32
    }

    package init() {}

    /// Takes note of the tokens that were added to a text; `text` is all of it.
    package mutating func read(_ text: [Int32]) {
        precondition(text.count >= tokens.count, "PromptLookup: a text of \(text.count) tokens after \(tokens.count)")
        for token in text[tokens.count...] {
            // The run that this token ends is not known until another one follows.
            let end = tokens.count
            if end >= 3 { triples[Run(first: tokens[end - 3], second: tokens[end - 2], third: tokens[end - 1])] = end }
            if end >= 2 { pairs[Run(first: tokens[end - 2], second: tokens[end - 1], third: -1)] = end }
            tokens.append(token)
        }
    }

    /// Returns at most `count` tokens that are guessed to follow what was read.
    package func draft(_ count: Int) -> [Int32] {
        let end = tokens.count
        guard count > 0, end >= 2 else { return [] }
        let triple =
            end < 3 ? nil : triples[Run(first: tokens[end - 3], second: tokens[end - 2], third: tokens[end - 1])]
        let start = triple ?? pairs[Run(first: tokens[end - 2], second: tokens[end - 1], third: -1)]
        guard let start else { return [] }
        // A text that repeats itself goes on to do so.
        let period = end - start
        return (0..<count).map { tokens[start + $0 % period] }
    }
}
