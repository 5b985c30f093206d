package import MartletFormats
package import MartletJSON

/// The generation defaults of a model, as its makers mean it to generate: what `generation_config.json` says, or the
/// settings that older models keep in config.json.
///
/// Source: `GenerationConfig` of transformers 5, whose defaults hold where the file is silent.
package struct GenerationDefaults: Sendable, Hashable {
    /// Greedy unless the file says `do_sample`.
    package var sampling = Sampling.greedy
    package var rules = TokenRules()
    package var beams = 1
    /// The number of continuations that are returned.
    package var results = 1
    package var lengthPenalty: Float = 1
    package var earlyStopping = BeamSearch.EarlyStopping.whenUnlikely
    package var maximumNewTokens: Int?
    /// The maximum length in tokens of the prompt (an encoder-decoder's start token) and what follows, and the minimum.
    package var maximumLength: Int?
    package var minimumLength: Int?
    package var stopTokens: Set<Int32> = []
    package var stopTexts: [String] = []
    /// The settings that the file states, key by key, in its order: "temperature = 0.6".
    package var stated: [String] = []
    /// The settings that the file asks for and that are not done here.
    package var unsupported: [String] = []

    /// The defaults where a file says nothing: greedy, without limits of its own.
    package static let none = GenerationDefaults()

    private init() {}

    /// - Throws: ``ConfigError`` with every value that is of the wrong kind or out of range.
    package init(_ object: JSONObject, path: String) throws(ConfigError) {
        let config = ConfigReader(object, path: path)
        readSampling(config)
        readRules(config)
        readLengths(config)
        for (key, value) in object.members where !value.isNull {
            if key == "forced_eos_token_id", value.arrayValue.map({ $0.count > 1 }) ?? false {
                // The reference ends by whichever of them comes first; one is forced here.
                unsupported.append("\(key) = \(value.text())")
            } else if GenerationDefaults.known.contains(key) {
                stated.append("\(key) = \(value.text())")
            } else if let idle = GenerationDefaults.notDone[key], !idle.contains(value) {
                unsupported.append("\(key) = \(value.text())")
            }
        }
        // Only this file's own keys are read here, whatever else it holds.
        try config.finish(reference: JSONObject())
    }

    private mutating func readSampling(_ config: ConfigReader) {
        let samples = config.bool("do_sample", default: false)
        let temperature = config.number("temperature", default: 1, in: 0...100)
        let topK = config.optionalInteger("top_k", in: 0...Int(Int32.max))
        let topP = config.number("top_p", default: 1, in: 0...1)
        let minP = config.number("min_p", default: 0, in: 0...1)
        let typicalP = config.number("typical_p", default: 1, in: 0...1)
        // The reference leaves them out from 1 on.
        let epsilon = config.number("epsilon_cutoff", default: 0, in: 0...1)
        let eta = config.number("eta_cutoff", default: 0, in: 0...1)
        beams = config.integer("num_beams", default: 1, in: 1...1_000)
        results = config.integer("num_return_sequences", default: 1, in: 1...1_000)
        lengthPenalty = Float(config.number("length_penalty", default: 1, in: -100...100))
        switch config.json("early_stopping") {
        case .bool(true)?: earlyStopping = .whenFull
        case .string?: earlyStopping = .never
        default: break
        }
        guard samples else { return }
        // The reference keeps 50 tokens where a file that samples does not say how many.
        sampling = Sampling(
            temperature: Float(temperature), topK: topK ?? 50, topP: Float(topP), minP: Float(minP),
            typicalP: Float(typicalP), epsilonCutoff: epsilon < 1 ? Float(epsilon) : 0,
            etaCutoff: eta < 1 ? Float(eta) : 0)
    }

    private mutating func readRules(_ config: ConfigReader) {
        func ids(_ json: JSON?) -> [Int32] {
            let list = json?.arrayValue ?? [json].compactMap { $0 }
            return list.compactMap { $0.integerValue.flatMap { Int32(exactly: $0) } }.filter { $0 >= 0 }
        }
        rules.repetitionPenalty = Float(config.number("repetition_penalty", default: 1, in: 0.01...100))
        rules.encoderRepetitionPenalty = Float(config.number("encoder_repetition_penalty", default: 1, in: 0.01...100))
        rules.noRepeatNGram = config.integer("no_repeat_ngram_size", default: 0, in: 0...1_000_000)
        rules.encoderNoRepeatNGram = config.integer("encoder_no_repeat_ngram_size", default: 0, in: 0...1_000_000)
        rules.badWords = (config.json("bad_words_ids")?.arrayValue ?? []).map(ids).filter { !$0.isEmpty }
        rules.suppressed = ids(config.json("suppress_tokens"))
        rules.suppressedFirst = ids(config.json("begin_suppress_tokens"))
        rules.forcedFirst = ids(config.json("forced_bos_token_id")).first
        rules.forcedLast = ids(config.json("forced_eos_token_id")).first
        rules.remainder = config.bool("renormalize_logits", default: false) ? .renormalised : .asItIs
        // Pairs of a run and its bias.
        rules.sequenceBias = (config.json("sequence_bias")?.arrayValue ?? []).compactMap { pair in
            let tokens = ids(pair[0])
            guard !tokens.isEmpty, let bias = pair[1]?.doubleValue else { return nil }
            return .init(tokens: tokens, bias: Float(bias))
        }
        if let decay = config.json("exponential_decay_length_penalty")?.arrayValue, decay.count == 2,
            let start = decay[0].doubleValue, let factor = decay[1].doubleValue, abs(start) < 1e9
        {
            rules.decay = .init(start: Int(start), factor: Float(factor))
        }
        stopTokens = Set(ids(config.json("eos_token_id")))
    }

    private mutating func readLengths(_ config: ConfigReader) {
        let range = 0...Int(Int32.max)
        maximumNewTokens = config.optionalInteger("max_new_tokens", in: range)
        maximumLength = config.optionalInteger("max_length", in: range)
        minimumLength = config.optionalInteger("min_length", in: range)
        rules.minimumNewTokens = config.integer("min_new_tokens", default: 0, in: range)
        stopTexts =
            config.json("stop_strings").map { $0.arrayValue?.compactMap(\.stringValue) ?? [$0.stringValue ?? ""] } ?? []
        stopTexts.removeAll(where: \.isEmpty)
    }

    /// The minimum number of new tokens behind a prompt of `count` tokens.
    package func minimumNewTokens(after count: Int) -> Int {
        max(rules.minimumNewTokens, (minimumLength ?? 0) - count)
    }

    /// The maximum number of new tokens behind a prompt of `count` tokens, where the file says so.
    package func maximumNewTokens(after count: Int) -> Int? {
        maximumNewTokens ?? maximumLength.map { max(0, $0 - count) }
    }

    private static let known: Set<String> = [
        "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
        "num_beams", "num_return_sequences",
        "length_penalty", "early_stopping", "repetition_penalty", "encoder_repetition_penalty", "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
        "forced_bos_token_id", "forced_eos_token_id",
        "renormalize_logits", "sequence_bias", "exponential_decay_length_penalty", "eos_token_id", "max_new_tokens",
        "max_length", "min_length", "min_new_tokens", "stop_strings", "decoder_start_token_id", "bos_token_id",
    ]

    /// Keys that would change what is generated, with the values that change nothing.
    private static let notDone: [String: [JSON]] = [
        "penalty_alpha": [0, 0.0], "guidance_scale": [1, 1.0], "dola_layers": [],
        "num_beam_groups": [1],
        "diversity_penalty": [0, 0.0], "constraints": [], "force_words_ids": [], "watermarking_config": [],
        "top_h": [],
        "token_healing": [false], "max_time": [],
    ]
}
