package import MartletModels

/// A request to an engine: read these texts whole, each in one piece. Embeddings, classes, tags, pairs to be ranked.
package struct ReadingRequest: Sendable {
    /// Whose tokens are the model's.
    package var texts: [WholeText]
    /// The adapter over the engine's model that reads, by number; nil for the model alone.
    package var adapter: Int?
    /// Whose it is: queues are bounded by tenant.
    package var tenant = 0
    /// Higher is read first.
    package var priority = 0

    package init(_ texts: [WholeText], adapter: Int? = nil, tenant: Int = 0) {
        (self.texts, self.adapter, self.tenant) = (texts, adapter, tenant)
    }
}
