package import MartletLayers
package import MartletModels
package import MartletTensors

/// Why a generation ended.
public enum FinishReason: String, Sendable, Hashable, Codable {
    /// A stop token or stop text.
    case stop
    /// As many tokens as were asked for, or the end of the model's context.
    case length
}

/// The ids that follow a prompt, one by one.
///
/// A prompt is fed in chunks, so that nobody waits long for a cancellation; the chunks do not change a bit of the result.
package struct TokenGenerator {
    package struct Options: Sendable {
        package var maximumTokens: Int
        package var sampling: Sampling
        package var stopTokens: Set<Int32>
        /// Rows of one pass while the prompt is read.
        package var chunk: Int
        /// What keys and values are kept as: f32, f16, bf16 or q8_0.
        package var cache: ElementType
        /// Which tokens may not, or must, come next.
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

    private let decoder: Decoder
    private let device: Device
    private let options: Options
    private var cache: KeyValueCache
    /// How many tokens of the prompt were in the memory.
    package let rememberedCount: Int
    private var sampler: Sampler
    /// For passes of one token; nil where the model has a part that steps do not know.
    private let step: DecoderStep?
    private let promptCount: Int
    /// How far the text is known to reach whose keys are in the cache.
    private var extent: Int

    /// The prompt and what has been generated.
    package private(set) var tokens: [Int32]
    package private(set) var finish: FinishReason?

    /// - Parameter memory: of an earlier text on this model. What both begin with is not computed again; the bits stay the same.
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request.
    package init(
        _ decoder: Decoder, prompt: [Int32], _ options: Options, memory: Memory? = nil, on device: Device
    ) throws(GenerationError) {
        guard case .decoder(let stack) = decoder.architecture.body else {
            throw GenerationError("this model does not continue texts: it is not a decoder")
        }
        try TokenGenerator.check(decoder.architecture, prompt, options)
        (self.decoder, self.device, self.options) = (decoder, device, options)
        (tokens, promptCount, extent) = (prompt, prompt.count, prompt.count)
        // Positions that turn by the length of the text make other keys of the same beginning.
        let dependsOnLength = stack.layers.contains {
            $0.attention.positions.isUnbounded || $0.attention.positions.rereadsBeyond != nil
        }
        if var memory, !dependsOnLength, memory.cache.type == options.cache {
            memory.keepBeginning(of: prompt)
            cache = memory.cache
        } else {
            cache = KeyValueCache(stack, type: options.cache, on: device)
        }
        rememberedCount = cache.length()
        step = DecoderStep(decoder, rows: 1, cache: options.cache, on: device)
        sampler = Sampler(options.sampling, prompt: prompt)
        if options.maximumTokens == 0 { finish = .length }
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

    /// What was read so far, for a later text.
    package var memory: Memory { Memory(cache: cache, tokens: tokens) }

    /// Whether what is left of the prompt fits the pass that gives the next token.
    package var isPromptRead: Bool { tokens.count - cache.length() <= options.chunk }

    /// Reads the next chunk of a long prompt.
    package mutating func readPrompt() {
        guard !isPromptRead else { return }
        let start = cache.length()
        _ = pass(Array(tokens[start..<start + options.chunk]), from: start)
    }

    /// The next token; nil when the generation has ended. A stop token ends it and is not returned.
    package mutating func next() -> Int32? { next(choosing: nil) }

    /// The next token by a choice of the caller's: from logits `[vocabulary]` and the tokens so far.
    package mutating func next(choosing choose: ((Tensor, [Int32]) -> Int32)?) -> Int32? {
        while !isPromptRead { readPrompt() }
        guard finish == nil else { return nil }
        forgetOutgrownKeys()
        while !isPromptRead { readPrompt() }
        let logits = ruled(logits())
        let token = choose?(logits, tokens) ?? sampler.next(logits, position: tokens.count)
        guard !options.stopTokens.contains(token) else {
            finish = .stop
            return nil
        }
        tokens.append(token)
        sampler.append(token)
        let full = decoder.architecture.context.map { tokens.count >= $0 } ?? false
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

    /// A text that has just outgrown the length after which all of its positions turn otherwise is read anew.
    private mutating func forgetOutgrownKeys() {
        guard let trained = decoder.architecture.rereadsBeyond, extent <= trained, tokens.count > trained else {
            return
        }
        cache.truncate(to: 0)
        extent = tokens.count
    }

    /// The logits of what follows, `[vocabulary]`, after reading what is left of the tokens.
    private mutating func logits() -> Tensor {
        let start = cache.length()
        if let step, start + 1 == tokens.count {
            step.set(row: 0, token: tokens[start], position: start, extent: extent)
            cache.advance(step)
            step.run(rows: 1)
            return step.logits(row: 0)
        }
        let hidden = pass(Array(tokens[start...]), from: start)
        let logits = decoder.logits(hidden.rows(hidden.shape[0] - 1..<hidden.shape[0]))
        return logits.reshaped([decoder.architecture.vocabulary])
    }

    private mutating func pass(_ tokens: [Int32], from start: Int) -> Tensor {
        var rows = Rows()
        rows.append(tokens, from: start, extent: extent)
        return decoder.hidden(rows, &cache, on: device)
    }
}
