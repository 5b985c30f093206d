/// A request as a scheduler has to know it.
package struct ScheduledRequest: Sendable {
    /// The kind of a request, which says what its steps compute.
    package enum Kind: Sendable, Hashable {
        /// Continues a text: keys and values are kept, the prompt may be read in chunks.
        case generation
        /// A text that is read in one piece, of which nothing is kept: embeddings, classes, tags, bidirectional texts.
        case uncut
        /// Continues a text in several ways at once, about a source of `sourceRows` that is read when it begins, in
        /// `blocks` of every group from its beginning to its end.
        case search(blocks: Int, sourceRows: Int)
    }

    package let id: Int
    package var kind = Kind.generation
    /// The prompt.
    package var tokens: [Int32]
    /// The maximum number of new tokens; 0 for texts that are only read.
    package var maximumNewTokens: Int
    /// The tenant whose request it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// The priority: higher is admitted first and preempted last; equals go by age.
    package var priority = 0
    /// The namespace of its keys and values, what they depend on besides tokens (model, adapter, cache type, tenant's
    /// salt); nil shares no beginnings.
    package var namespace: Int?

    package init(id: Int, tokens: [Int32], maximumNewTokens: Int) {
        (self.id, self.tokens, self.maximumNewTokens) = (id, tokens, maximumNewTokens)
    }
}
