import MartletConstraints
public import MartletGeneration
public import MartletJSON

#if canImport(FoundationEssentials)
    import struct FoundationEssentials.Data
    import class FoundationEssentials.JSONDecoder
#else
    import struct Foundation.Data
    import class Foundation.JSONDecoder
#endif

/// A type whose values a model can be asked for: guided generation by a JSON schema.
///
/// ```swift
/// struct Invoice: Generable {
///     let number: Int
///     let lines: [String]
///     let currency: String
///     static let generationSchema: JSON = [
///         "type": "object", "required": ["number", "lines", "currency"],
///         "properties": [
///             "number": ["type": "integer", "minimum": 1],
///             "lines": ["type": "array", "items": ["type": "string"], "maxItems": 5],
///             "currency": ["enum": ["EUR", "USD"]],
///         ],
///     ]
/// }
/// let invoice = try await session.respond(to: prompt, generating: Invoice.self).content
/// ```
///
/// Answers are valid under the schema by construction: no other token can come. A nested type's schema
/// stands where its value does.
public protocol Generable: Decodable, Sendable {
    /// The JSON schema of the type's values.
    static var generationSchema: JSON { get }
}

extension LanguageModelSession {
    /// The answer to `prompt` as a value of `type`, once it is finished. The model calls no tools meanwhile.
    ///
    /// - Throws: ``GenerationError``, as ``respond(to:options:)``; also for a schema with a keyword that is not
    ///   supported, named by its place, and for an answer that `options.maximumTokens` ends before it is complete.
    @discardableResult
    public func respond<Content: Generable>(
        to prompt: String, generating type: Content.Type = Content.self, options: GenerationOptions? = nil
    ) async throws(GenerationError) -> Response<Content> {
        let response = try await respond(to: prompt, options: formed(options, type))
        let content: Content = try GenerableAnswer.value(of: response.content, response.summary)
        return Response(content: content, transcriptEntries: response.transcriptEntries, summary: response.summary)
    }

    /// The answer to `prompt` as a value of `type` while it is written. The model calls no tools meanwhile.
    public func streamResponse<Content: Generable>(
        to prompt: String, generating type: Content.Type = Content.self, options: GenerationOptions? = nil
    ) -> GenerableStream<Content> {
        GenerableStream(stream: streamResponse(to: prompt, options: formed(options, type)))
    }

    private func formed<Content: Generable>(_ options: GenerationOptions?, _ type: Content.Type) -> GenerationOptions {
        var options = options ?? GenerationOptions(model.defaults)
        options.constraint = .schema(Content.generationSchema.text(.compact))
        return options
    }
}

/// A value of a ``Generable`` type while it is written.
///
/// Ending the loop, or cancelling its task, ends the answer within one step.
public struct GenerableStream<Content: Generable>: AsyncSequence, Sendable {
    /// The element: what is there so far.
    public typealias Element = Snapshot
    /// The error that ends the sequence.
    public typealias Failure = GenerationError

    fileprivate let stream: ResponseStream

    /// A value so far.
    public struct Snapshot: Sendable {
        /// The value as far as it is written: members and items that have begun, the last string perhaps in part.
        public let partial: JSON
        /// The whole value, with its last piece.
        public let content: Content?
        /// The generation that wrote it, with its last piece.
        public let summary: GenerationSummary?
    }

    /// An iterator over the snapshots as they come; it begins the work.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(snapshots: stream.makeAsyncIterator()) }

    /// The snapshots of one value, in order.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var snapshots: ResponseStream.AsyncIterator

        /// The value after its next piece; nil after the last one.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(GenerationError) -> Snapshot? {
            guard let snapshot = try await snapshots.next(isolation: actor) else { return nil }
            let content: Content? =
                if let summary = snapshot.summary {
                    try GenerableAnswer.value(of: snapshot.content, summary)
                } else { nil }
            return Snapshot(
                partial: PartialJSON.value(of: snapshot.content) ?? .null, content: content, summary: snapshot.summary)
        }
    }
}

/// The reading of an answer as a value of its type.
private enum GenerableAnswer {
    /// - Throws: ``GenerationError`` for a text that ended too early, or that its type does not take although its
    ///   schema does.
    static func value<Content: Generable>(
        of text: String, _ summary: GenerationSummary
    ) throws(GenerationError) -> Content {
        do {
            return try JSONDecoder().decode(Content.self, from: Data(text.utf8))
        } catch {
            guard summary.finish == .stop else {
                throw GenerationError(
                    .failure,
                    [
                        "the answer of \(summary.generatedTokens) tokens ended before its JSON was complete; "
                            + "allow more tokens, or bound strings and arrays in the schema"
                    ])
            }
            throw GenerationError(.failure, ["\(Content.self) does not take what its schema allows: \(error)"])
        }
    }
}
