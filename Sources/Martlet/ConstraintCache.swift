package import MartletConstraints
package import MartletTokenizers
import Synchronization

/// A cache of token masks: those of the last forms that texts of one model were kept to.
package final class ConstraintCache: Sendable {
    private static let most = 16

    /// The vocabulary as constraints read it, and the masks of constraints that were used.
    private struct Kept: Sendable {
        var vocabulary: ConstraintVocabulary?
        var masks: [OutputConstraint: ConstraintMasks] = [:]
    }

    private let tokenizer: Tokenizer
    private let count: Int
    private let kept = Mutex(Kept())

    package init(_ tokenizer: Tokenizer, vocabulary count: Int) { (self.tokenizer, self.count) = (tokenizer, count) }

    /// The masks of a form beside the model's vocabulary.
    ///
    /// - Throws: ``ConstraintError``.
    package func masks(of form: OutputConstraint) throws(ConstraintError) -> ConstraintMasks {
        if let known = kept.withLock({ $0.masks[form] }) { return known }
        let vocabulary = kept.withLock { $0.vocabulary } ?? ConstraintVocabulary(tokenizer, count: count)
        let masks = try ConstraintMasks(form, vocabulary, tokenizer)
        kept.withLock { kept in
            kept.vocabulary = vocabulary
            if kept.masks.count >= ConstraintCache.most { kept.masks = [:] }
            kept.masks[form] = masks
        }
        return masks
    }
}
