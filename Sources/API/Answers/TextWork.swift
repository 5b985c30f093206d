import Martlet
import MartletGeneration
import MartletJSON
import MartletTokenizers

extension ServedModel {
    /// The language model and engine that continue texts with this model.
    ///
    /// - Throws: ``APIError`` that says what the model does instead.
    func text() throws(APIError) -> (model: LanguageModel, engine: any TextEngine) {
        if case .text(let model, let engine) = work { return (model, engine) }
        throw wrongTask("continue texts")
    }

    /// The error of a task that this model does not do.
    func wrongTask(_ asked: String) -> APIError {
        .invalid(
            "The model \(name.quoted) does not \(asked); it can \(ModelRoutes.tasks(self).joined(separator: ", ")).",
            "model", code: "model_not_suited")
    }

    /// The rules of generation_config.json behind a prompt of `count` tokens, as far as the request lets them hold.
    func rules(after count: Int, _ fields: GenerationFields) -> TokenRules {
        var rules = defaults.rules
        rules.minimumNewTokens = fields.ignoresEnd ? 0 : defaults.minimumNewTokens(after: count)
        if fields.hasOwnRepeatPenalty { rules.repetitionPenalty = 1 }
        return rules
    }

    func neededTokenizer() throws(APIError) -> Tokenizer {
        guard let tokenizer else { throw wrongTask("have a tokenizer") }
        return tokenizer
    }

    /// Refuses a prompt that leaves no room for an answer, or has no token.
    func check(prompt: [Int32], _ parameter: String) throws(APIError) {
        guard !prompt.isEmpty else { throw .invalid("The prompt has no tokens.", parameter) }
        if let context, prompt.count >= context {
            throw .contextExceeded(prompt: prompt.count, context: context, parameter)
        }
        if case .text(_, let engine) = work, prompt.count >= engine.longestText {
            throw .memoryExceeded(prompt: prompt.count, longest: engine.longestText, parameter)
        }
        if let wrong = prompt.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
            throw .invalid(
                "Token \(wrong) is not in the vocabulary of \(vocabularySize).", parameter, code: "invalid_value")
        }
    }
}

/// The token counts of an answer, as OpenAI writes them.
enum Usage {
    static func json(prompt: Int, cached: Int, generated: Int, guesses: GuessCounts) -> JSON {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(generated),
            "total_tokens": .integer(prompt + generated), "prompt_tokens_details": ["cached_tokens": .integer(cached)],
            "completion_tokens_details": [
                "accepted_prediction_tokens": .integer(guesses.accepted),
                "rejected_prediction_tokens": .integer(guesses.guessed - guesses.accepted),
            ],
        ]
    }
}

/// Log-probabilities of tokens, as OpenAI writes them.
enum Probabilities {
    /// `logprobs` of chat choices: null where none were asked for.
    static func chat(_ tokens: [SampledToken], _ tokenizer: Tokenizer, isWanted: Bool) -> JSON {
        guard isWanted else { return .null }
        return [
            "content": .array(
                tokens.map { token in
                    var entry = entry(token.token, token.logProbability, tokenizer)
                    entry["top_logprobs"] = .array(
                        token.mostProbable.map { .object(self.entry($0.token, $0.logProbability, tokenizer)) })
                    return .object(entry)
                }),
            "refusal": .null,
        ]
    }

    private static func entry(_ id: Int32, _ logProbability: Float?, _ tokenizer: Tokenizer) -> JSONObject {
        let bytes = tokenizer.bytes(ofToken: id) ?? []
        var entry = JSONObject()
        entry["token"] = .string(String(decoding: bytes, as: UTF8.self))
        entry["logprob"] = number(logProbability)
        entry["bytes"] = .array(bytes.map { .integer(Int($0)) })
        return entry
    }

    /// OpenAI's clients take no infinity.
    static func number(_ value: Float?) -> JSON { .number(max(-9_999, Double(value ?? -9_999))) }

    /// `logprobs` of the older completions: parallel lists.
    struct Lists {
        private var (texts, values): ([JSON], [JSON]) = ([], [])
        private var (best, offsets): ([JSON], [JSON]) = ([], [])
        /// The scalar of the text at which the next token begins.
        var offset = 0

        init(from offset: Int = 0) { self.offset = offset }

        /// Adds the tokens of an answer.
        mutating func add(_ tokens: [SampledToken], _ tokenizer: Tokenizer) {
            for token in tokens {
                add(token, at: offset, tokenizer)
                offset += Lists.text(token.token, tokenizer).unicodeScalars.count
            }
        }

        /// Adds the tokens of a prompt, which begins the text; nothing says how probable the first one is.
        mutating func add(prompt tokens: [SampledToken], _ tokenizer: Tokenizer) {
            var stream = TextStream(tokenizer)
            for token in tokens {
                add(token, at: offset, tokenizer)
                offset += ((try? stream.append(token.token)) ?? "").unicodeScalars.count
            }
        }

        private mutating func add(_ token: SampledToken, at offset: Int, _ tokenizer: Tokenizer) {
            texts.append(.string(Lists.text(token.token, tokenizer)))
            offsets.append(.integer(offset))
            values.append(token.logProbability.map { Probabilities.number($0) } ?? .null)
            var map = JSONObject()
            for alternative in token.mostProbable {
                let text = Lists.text(alternative.token, tokenizer)
                if map[text] == nil { map[text] = Probabilities.number(alternative.logProbability) }
            }
            best.append(token.logProbability == nil ? .null : .object(map))
        }

        private static func text(_ token: Int32, _ tokenizer: Tokenizer) -> String {
            String(decoding: tokenizer.bytes(ofToken: token) ?? [], as: UTF8.self)
        }

        var json: JSON {
            [
                "tokens": .array(texts), "token_logprobs": .array(values), "top_logprobs": .array(best),
                "text_offset": .array(offsets),
            ]
        }
    }
}

/// Server-sent events.
enum ServerEvents {
    static func data(_ json: JSON) -> [UInt8] { Array("data: ".utf8) + json.serialized() + Array("\n\n".utf8) }
    static let done = Array("data: [DONE]\n\n".utf8)
    static let ping = Array(": ping\n\n".utf8)
}
