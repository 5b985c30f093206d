import MartletGeneration
import MartletJSON
import MartletTokenizers

/// Log-probabilities of tokens, as OpenAI writes them.
enum LogProbabilities {
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
            let own = Lists.text(token.token, tokenizer)
            texts.append(.string(own))
            offsets.append(.integer(offset))
            values.append(token.logProbability.map { LogProbabilities.number($0) } ?? .null)
            var map = JSONObject()
            for alternative in token.mostProbable {
                let text = Lists.text(alternative.token, tokenizer)
                if map[text] == nil { map[text] = LogProbabilities.number(alternative.logProbability) }
            }
            // The token itself is told of, however improbable it is, as OpenAI does.
            if map[own] == nil { map[own] = LogProbabilities.number(token.logProbability) }
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
