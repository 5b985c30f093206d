package import MartletGeneration
package import MartletLayers
package import MartletModels
package import MartletTensors

/// The ids that follow a prompt, one by one: plain decoding of one text, which the engine is compared with.
///
/// A prompt is fed in chunks, so that nobody waits long for a cancellation; the chunks do not change a bit of the
/// result.
package struct TokenGenerator: ~Copyable {
    package struct Options: Sendable {
        package var maximumTokens: Int
        package var sampling: Sampling
        package var stopTokens: Set<Int32>
        /// Rows of one pass while the prompt is read.
        package var chunk: Int
        /// The element type of the KV cache: f32, f16, bf16 or q8_0.
        package var cache: ElementType
        /// The rules of which tokens may not, or must, come next.
        package var rules: TokenRules

        package init(
            maximumTokens: Int, sampling: Sampling = .greedy, stopTokens: Set<Int32> = [], chunk: Int = 512,
            cache: ElementType = .f32, rules: TokenRules = TokenRules()
        ) {
            (self.maximumTokens, self.sampling, self.stopTokens) = (maximumTokens, sampling, stopTokens)
            (self.chunk, self.cache, self.rules) = (chunk, cache, rules)
        }
    }

    /// The keys and values of a text that was read, for a text that begins alike.
    package struct Memory: Sendable {
        fileprivate var cache: KeyValueCache
        /// The text; the cache may lack its last tokens.
        fileprivate let tokens: [Int32]

        /// Forgets all but what `prompt` begins with, and its last token, whose logits are needed.
        fileprivate mutating func keepBeginning(of prompt: [Int32]) {
            let common = zip(tokens, prompt).prefix { $0 == $1 }.count
            cache.truncate(to: min(common, cache.length(), prompt.count - 1))
        }
    }

    private let architecture: Architecture
    private let options: Options
    private let engine: StepEngine
    private let device: Device
    private var cache: KeyValueCache
    /// The number of the prompt's tokens that were in the KV cache.
    package let rememberedCount: Int
    private var sampler: Sampler
    /// The rows of a pass; of a decode step, its only one.
    private var rows: [StepRow] = []
    private let promptCount: Int
    /// The number of positions whose keys are in the KV cache.
    private var extent: Int

    /// The prompt and what has been generated.
    package private(set) var tokens: [Int32]
    package private(set) var finish: FinishReason?

    /// - Parameters:
    ///   - memory: of an earlier text on this model. What both begin with is not computed again; the bits stay the
    ///     same.
    ///   - engine: the model's, for a cache of the same type, where one is at hand.
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request.
    package init(
        _ decoder: Decoder, prompt: [Int32], _ options: Options, memory: Memory? = nil, engine known: StepEngine? = nil,
        on device: Device
    ) throws(GenerationError) {
        try TokenGenerator.check(decoder.architecture, prompt, options)
        let steps: StepEngine
        if let known, known.layout.type == options.cache {
            steps = known
        } else {
            steps = try StepEngine(decoder, cache: options.cache, on: device)
        }
        // Positions that rotate by the length of the text make other keys of the same beginning.
        let dependsOnLength = decoder.architecture.keysDependOnLength
        if var memory, !dependsOnLength, memory.cache.type == options.cache {
            memory.keepBeginning(of: prompt)
            cache = memory.cache
        } else {
            cache = steps.cache(sequences: 1)
        }
        (engine, self.device) = (steps, device)
        (architecture, self.options) = (decoder.architecture, options)
        (tokens, promptCount, extent) = (prompt, prompt.count, prompt.count)
        rememberedCount = cache.length()
        sampler = Sampler(options.sampling, prompt: prompt)
        finish = options.maximumTokens == 0 ? .length : nil
    }

    /// - Throws: ``GenerationError`` naming everything that is wrong with a request to the model of `architecture`.
    package static func check(
        _ architecture: Architecture, _ prompt: [Int32], _ options: Options
    ) throws(GenerationError) {
        var offences = options.sampling.offences(vocabulary: architecture.vocabulary)
        if prompt.isEmpty { offences.append("the prompt has no tokens; give at least one") }
        if options.maximumTokens < 0 { offences.append("\(options.maximumTokens) tokens cannot be generated") }
        if options.chunk < 1 { offences.append("a chunk of \(options.chunk) rows cannot be computed") }
        offences += architecture.offences(cache: options.cache)
        offences += options.rules.offences(vocabulary: architecture.vocabulary)
        if let wrong = prompt.first(where: { $0 < 0 || $0 >= architecture.vocabulary }) {
            offences.append("token \(wrong) is not in the vocabulary of \(architecture.vocabulary)")
        }
        if let context = architecture.context, prompt.count > context {
            offences.append(
                "the prompt has \(prompt.count) tokens, but the model's context is \(context); shorten the prompt")
        }
        guard offences.isEmpty else { throw GenerationError(.request, offences) }
    }

    /// The KV cache of what was read so far, for a later text.
    package var memory: Memory { Memory(cache: cache, tokens: tokens) }

    /// True where what is left of the prompt fits the pass that gives the next token.
    package var isPromptRead: Bool { tokens.count - cache.length() <= options.chunk }

    /// Reads the next chunk of a long prompt.
    package mutating func readPrompt() {
        guard !isPromptRead else { return }
        _ = read(options.chunk, isWanted: false)
    }

    /// The next token; nil when the generation has ended. A stop token ends it and is not returned.
    package mutating func next() -> Int32? { next(choosing: nil) }

    /// The next token by a choice of the caller's: from logits `[vocabulary]` and the tokens so far.
    package mutating func next(choosing choose: ((Tensor, [Int32]) -> Int32)?) -> Int32? {
        while !isPromptRead { readPrompt() }
        guard finish == nil else { return nil }
        if let trained = architecture.rereadsBeyond, extent <= trained, tokens.count > trained {
            cache.forget(0, outgrowing: trained, extent: tokens.count)
            extent = tokens.count
        }
        while !isPromptRead { readPrompt() }
        let logits = ruled(logits())
        let token = choose?(logits, tokens) ?? sampler.next(logits, position: tokens.count)
        guard !options.stopTokens.contains(token) else {
            finish = .stop
            return nil
        }
        tokens.append(token)
        sampler.append(token)
        let full = architecture.context.map { tokens.count >= $0 } ?? false
        if tokens.count - promptCount >= options.maximumTokens || full { finish = .length }
        return token
    }

    /// The logits under the rules.
    private func ruled(_ logits: Tensor) -> Tensor {
        guard !options.rules.isEmpty else { return logits }
        var scores = logits.values
        options.rules.apply(
            to: &scores,
            .init(
                tokens: tokens, promptCount: promptCount, maximumNewTokens: options.maximumTokens,
                stopTokens: options.stopTokens, source: Array(tokens[..<promptCount])))
        return device.tensor(scores, shape: logits.shape)
    }

    /// The logits of what follows, `[1, vocabulary]`, after reading what is left of the tokens.
    private mutating func logits() -> Tensor {
        guard let logits = read(tokens.count - cache.length(), isWanted: true) else {
            preconditionFailure("TokenGenerator: nothing left to read")
        }
        return logits
    }

    /// Reads the next `count` tokens.
    private mutating func read(_ count: Int, isWanted: Bool) -> Tensor? {
        let start = cache.length()
        rows.removeAll(keepingCapacity: true)
        for position in start..<start + count {
            rows.append(
                StepRow(
                    token: tokens[position], position: position, extent: extent,
                    isWanted: isWanted && position + 1 == start + count))
        }
        return engine.logits(rows, &cache)
    }
}
