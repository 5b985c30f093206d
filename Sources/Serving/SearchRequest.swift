package import MartletGeneration

/// A request to an engine: find by beam search how these texts go on. What each begins with is read once, for all beams
/// and results.
package struct SearchRequest: Sendable {
    /// A text that is to be written.
    package struct Text: Sendable {
        /// The source that an encoder-decoder writes about; empty for a decoder.
        package var source: [Int32] = []
        /// The tokens that the decoder reads first.
        package var prompt: [Int32]

        /// Tokens that are to be read.
        var count: Int { source.isEmpty ? prompt.count : source.count }
    }

    package var texts: [Text]
    package var options: BeamSearch.Options
    /// Whose it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// Higher is admitted first and preempted last.
    package var priority = 0

    /// Writes about `sources`, after `prompt`.
    package init(_ sources: [[Int32]], prompt: [Int32], _ options: BeamSearch.Options, tenant: Int = 0) {
        (texts, self.options) = (sources.map { Text(source: $0, prompt: prompt) }, options)
        self.tenant = tenant
    }

    /// Continues `prompts`.
    package init(prompts: [[Int32]], _ options: BeamSearch.Options, tenant: Int = 0) {
        (texts, self.options) = (prompts.map { Text(prompt: $0) }, options)
        self.tenant = tenant
    }
}
