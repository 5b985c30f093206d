@_exported public import protocol MartletPlatform.MartletError

/// A generation that cannot begin or did not end as asked, with everything that is wrong.
public struct GenerationError: MartletError, Equatable {
    /// The moment at which a generation fails.
    public enum Kind: Sendable, Hashable {
        /// The request itself: an empty prompt, a number out of its range, a text longer than the context. Nothing was
        /// computed.
        case request
        /// The cancellation of the task that reads the text, before the text was finished.
        case cancelled
        /// A tool that failed, or was called without end.
        case tool
        /// A failure after the first token.
        case failure
    }

    /// The moment at which the generation failed.
    public let kind: Kind
    /// The offences: everything that was wrong, each as a sentence.
    public let offences: [String]

    /// A generation that failed at `kind` for `offences`.
    package init(_ kind: Kind, _ offences: [String]) { (self.kind, self.offences) = (kind, offences) }

    /// A request with one offence, or several in one text.
    package init(_ offence: String) { self.init(.request, [offence]) }

    /// The cancellation of a text that was not finished.
    package static let cancelled = GenerationError(.cancelled, ["the generation was cancelled before its end"])

    /// The request that `error` makes impossible.
    package init(wrapping error: any Error) {
        self =
            error as? GenerationError
            ?? GenerationError(.request, (error as? any MartletError)?.offences ?? ["\(error)"])
    }

    /// The cause: what was found, and where.
    public var cause: String { offences.joined(separator: "; ") }
}
