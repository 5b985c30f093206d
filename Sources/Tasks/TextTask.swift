package import MartletModels

/// A task on a model that reads: the texts to be read, and what is made of what the model computes for each. Whoever
/// has the model runs it: a thread that calls, or an engine that reads the texts of several callers in common passes.
package struct TextTask<Part: Sendable, Output: Sendable>: Sendable {
    package let texts: [WholeText]
    /// The part that is kept of text number `index`.
    package let part: @Sendable (_ index: Int, _ read: ReadText) throws -> Part
    /// The answer, of all parts in order.
    package let output: @Sendable ([Part]) throws -> Output

    /// Tokens that are read.
    package var tokenCount: Int { texts.reduce(0) { $0 + $1.tokens.count } }

    init(
        _ texts: [WholeText], part: @escaping @Sendable (_ index: Int, _ read: ReadText) throws -> Part,
        output: @escaping @Sendable ([Part]) throws -> Output
    ) { (self.texts, self.part, self.output) = (texts, part, output) }
}

extension TextTask where Output == [Part] {
    /// The parts are the answer.
    init(_ texts: [WholeText], part: @escaping @Sendable (_ index: Int, _ read: ReadText) throws -> Part) {
        self.init(texts, part: part) { $0 }
    }
}
