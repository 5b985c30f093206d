import MartletFormats
public import MartletGeneration
package import MartletJSON
import MartletPlatform

/// How an encoder-decoder writes, as its files say: `generation_config.json`, else `config.json`, whose `task_specific_params` go first.
public struct WriterSettings: Sendable {
    /// What stands before every text: "translate English to German: ".
    public var prefix = ""
    /// Tokens around the source, where they are not the tokenizer's own.
    package var frame: (before: [Int32], after: [Int32])?
    public var search: BeamSearch.Options
    /// What the decoder reads first.
    public var startToken: Int32

    /// As CTranslate2 writes where it is told nothing: two beams, and no end before the first token.
    ///
    /// - Throws: ``TaskError`` for a vocabulary without tokens for start and end.
    package init(ctranslate2 vocabulary: any WriterVocabulary, path: String) throws {
        guard let start = vocabulary.id(ofToken: "<s>"), let end = vocabulary.id(ofToken: "</s>") else {
            throw TaskError("\(path): the target's vocabulary has no <s> or no </s>")
        }
        startToken = start
        search = BeamSearch.Options(beams: 2, maximumTokens: 256, earlyStopping: .whenFull, stopTokens: [end])
        search.rules.minimumNewTokens = 1
        search.rules.remainder = .renormalised
    }

    /// - Throws: ``TaskError`` when no start token is named, and what reading throws.
    package init(directory: String, config: JSONObject, task: Writer.Task?) throws {
        let path = directory + "/generation_config.json"
        let generation = fileExists(path) ? try JSON(contentsOf: path).objectValue : nil
        let special = WriterSettings.parameters(of: task, config)
        func value(_ key: String) -> JSON? {
            for source in [special, generation, config] {
                if let value = source?[key], !value.isNull { return value }
            }
            return nil
        }
        func token(_ key: String) -> Int32? { value(key)?.integerValue.flatMap { Int32(exactly: $0) } }
        func tokens(_ json: JSON?) -> [Int32] {
            (json?.arrayValue ?? [json].compactMap { $0 }).compactMap { $0.integerValue.flatMap { Int32(exactly: $0) } }
        }
        var offences: [String] = []
        func integer(_ key: String) -> Int? {
            guard let json = value(key) else { return nil }
            if let number = json.integerValue, (0...Int(UInt32.max) + 1).contains(number) { return number }
            offences.append("\(key) should be an integer from 0 to 2^32, it is \(json.text().shortened)")
            return nil
        }
        guard let start = token("decoder_start_token_id") ?? token("bos_token_id") else {
            throw TaskError("\(directory): no file names the decoder's start token (decoder_start_token_id)")
        }
        startToken = start
        // Lengths in these files count the start token.
        let longest = integer("max_new_tokens") ?? integer("max_length").map { max(1, $0 - 1) }
        search = BeamSearch.Options(
            beams: integer("num_beams") ?? 1, results: 1, maximumTokens: longest ?? 256,
            lengthPenalty: Float(value("length_penalty")?.doubleValue ?? 1))
        switch value("early_stopping") {
        case .bool(true)?: search.earlyStopping = .whenFull
        case .string?: search.earlyStopping = .never
        default: search.earlyStopping = .whenUnlikely
        }
        search.stopTokens = Set(tokens(value("eos_token_id")))
        search.rules.noRepeatNGram = integer("no_repeat_ngram_size") ?? 0
        search.rules.minimumNewTokens = integer("min_new_tokens") ?? max(0, (integer("min_length") ?? 0) - 1)
        search.rules.forcedFirst = token("forced_bos_token_id")
        search.rules.forcedLast = token("forced_eos_token_id")
        search.rules.badWords = (value("bad_words_ids")?.arrayValue ?? []).map { tokens($0) }
        search.rules.suppressed = tokens(value("suppress_tokens"))
        search.rules.suppressedFirst = tokens(value("begin_suppress_tokens"))
        search.rules.remainder = value("renormalize_logits")?.boolValue == true ? .renormalised : .asItIs
        prefix = value("prefix")?.stringValue ?? ""
        guard offences.isEmpty else { throw TaskError("\(directory): \(offences.joined(separator: "; "))") }
    }

    /// The most tokens that are written where neither the model's positions nor the caller set a limit: files may ask for lengths
    /// that no text has (`"max_length": 4294967296`).
    static let longestWithoutContext = 4_096

    /// What config.json says of one task: "summarization", or the first of its translations.
    private static func parameters(of task: Writer.Task?, _ config: JSONObject) -> JSONObject? {
        guard let task, let all = config["task_specific_params"]?.objectValue else { return nil }
        return all.members.first { $0.key.hasPrefix(task.rawValue) }?.value.objectValue
    }
}
