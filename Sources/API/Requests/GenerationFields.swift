import MartletGeneration
import MartletJSON

/// The fields that say how a text is to be continued, as chat, completion and response requests share them.
struct GenerationFields: Sendable {
    var maximumTokens: Int?
    var sampling: Sampling
    /// The number of alternatives that are reported with each token; nil: none, and no probabilities.
    var alternatives: Int?
    var stopTexts: [String]
    var choices: Int
    var streams: Bool
    var includesUsage: Bool
    var ignoresEnd: Bool
    /// True where the request itself says how repetition is penalised.
    var hasOwnRepeatPenalty: Bool

    /// - Parameters:
    ///   - defaults: What holds where a field is absent.
    ///   - vocabulary: The ids that a bias may name.
    init(_ fields: Fields, defaults: Sampling, vocabulary: Int) throws(APIError) {
        let most = try GenerationFields.count(fields, "max_tokens", atLeast: 0)
        maximumTokens = try GenerationFields.count(fields, "max_completion_tokens", atLeast: 1) ?? most
        sampling = try GenerationFields.sampling(fields, defaults)
        sampling.presencePenalty = Float(try fields.number("presence_penalty", -2...2) ?? 0)
        sampling.frequencyPenalty = Float(try fields.number("frequency_penalty", -2...2) ?? 0)
        sampling.logitBias = try GenerationFields.bias(fields, vocabulary)
        stopTexts = try fields.strings("stop", atMost: 16) ?? []
        if stopTexts.contains(where: \.isEmpty) {
            throw .invalid("\(fields.path("stop")) holds an empty text, which every text begins with.", "stop")
        }
        if let long = stopTexts.first(where: { $0.utf8.count > 1024 }) {
            throw .invalid("\(fields.path("stop")) holds a text of \(long.utf8.count) bytes; at most 1024.", "stop")
        }
        choices = try fields.integer("n", 1...128) ?? 1
        streams = try fields.bool("stream") ?? false
        includesUsage = try fields.object("stream_options")?.bool("include_usage") ?? false
        ignoresEnd = try fields.bool("ignore_eos") ?? false
        hasOwnRepeatPenalty = fields["repeat_penalty"] != nil || fields["repetition_penalty"] != nil
    }

    /// Reads which probabilities are told with each token, as chats ask for them: `logprobs` and `top_logprobs`.
    mutating func takeProbabilities(_ fields: Fields) throws(APIError) {
        let count = try fields.integer("top_logprobs", 0...20) ?? 0
        if try fields.bool("logprobs") ?? false {
            alternatives = count
        } else if count > 0 {
            throw .invalid("top_logprobs is given, but logprobs is not true.", "top_logprobs")
        }
    }

    /// A number of tokens; nil for none, and for -1, with which clients of local servers ask for as many as fit.
    private static func count(_ fields: Fields, _ name: String, atLeast least: Int) throws(APIError) -> Int? {
        fields[name]?.integerValue == -1 ? nil : try fields.integer(name, least...1 << 24)
    }

    private static func sampling(_ fields: Fields, _ defaults: Sampling) throws(APIError) -> Sampling {
        var sampling = defaults
        if let value = try fields.number("temperature", 0...100) { sampling.temperature = Float(value) }
        if let value = try fields.number("top_p", 0...1) { sampling.topP = Float(value) }
        if let value = try fields.integer("top_k", -1...1 << 24) { sampling.topK = max(0, value) }
        if let value = try fields.number("min_p", 0...1) { sampling.minP = Float(value) }
        if let value = try fields.number("typical_p", 0...1) { sampling.typicalP = Float(value) }
        for name in ["repeat_penalty", "repetition_penalty"] {
            if let value = try fields.number(name, 0.01...100) { sampling.repeatPenalty = Float(value) }
        }
        let seed = try fields.integer("seed", Int.min...Int.max)
        sampling.seed = seed.map { UInt64(bitPattern: Int64($0)) } ?? UInt64.random(in: 0...UInt64(Int.max))
        return sampling
    }

    private static func bias(_ fields: Fields, _ vocabulary: Int) throws(APIError) -> [Int32: Float] {
        guard let given = try fields.object("logit_bias") else { return [:] }
        guard given.object.count <= 1024 else {
            throw .invalid("logit_bias has \(given.object.count) entries, but at most 1024 are taken.", "logit_bias")
        }
        var bias: [Int32: Float] = [:]
        for key in given.object.keys {
            guard let id = Int32(key), id >= 0, Int(id) < vocabulary else {
                throw .invalid(
                    "logit_bias names token \(key.quoted), but the vocabulary has the ids 0 to \(vocabulary - 1).",
                    "logit_bias", code: "invalid_value")
            }
            bias[id] = Float(try given.number(key, -100...100) ?? 0)
        }
        return bias
    }

    /// The settings of choice `index`: every choice has a seed of its own.
    func sampling(ofChoice index: Int) -> Sampling {
        var sampling = sampling
        sampling.seed &+= UInt64(index)
        return sampling
    }
}
