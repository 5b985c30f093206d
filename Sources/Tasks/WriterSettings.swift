import MartletFormats
public import MartletGeneration
package import MartletJSON
import MartletPlatform

/// The settings by which an encoder-decoder writes, as its files say: `generation_config.json`, else `config.json`,
/// whose `task_specific_params` go first.
public struct WriterSettings: Sendable {
    /// The prefix before every text: "translate English to German: ".
    public var prefix = ""
    /// Tokens around the source, where they are not the tokenizer's own.
    package var frame: (before: [Int32], after: [Int32])?
    /// The settings of the beam search.
    public var search: BeamSearch.Options
    /// The decoder's start token, which it reads first.
    public var startToken: Int32
    /// The generation defaults of the files, and what of them is not done here.
    package private(set) var defaults = GenerationDefaults.none

    /// Settings as CTranslate2 has them where it is told nothing: two beams, and no end before the first token.
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
        let generation = fileExists(path) ? try JSON(contentsOf: path, as: .python).objectValue : nil
        // The task's own settings go before the file of settings, that before what config.json kept of them.
        var merged = config
        for (key, value) in (generation?.members ?? []) + (WriterSettings.parameters(of: task, config)?.members ?? [])
        where !value.isNull { merged[key] = value }
        func token(_ key: String) -> Int32? { merged[key]?.integerValue.flatMap { Int32(exactly: $0) } }
        guard let start = token("decoder_start_token_id") ?? token("bos_token_id") else {
            throw TaskError("\(directory): no file names the decoder's start token (decoder_start_token_id)")
        }
        startToken = start
        defaults = try GenerationDefaults(merged, path: generation == nil ? directory + "/config.json" : path)
        if defaults.sampling != .greedy { defaults.unsupported.append("do_sample = true") }
        // Lengths in these files count the start token.
        search = BeamSearch.Options(
            beams: defaults.beams, results: defaults.results, maximumTokens: defaults.maximumNewTokens(after: 1) ?? 256,
            lengthPenalty: defaults.lengthPenalty, earlyStopping: defaults.earlyStopping,
            stopTokens: defaults.stopTokens, rules: defaults.rules)
        search.rules.minimumNewTokens = defaults.minimumNewTokens(after: 1)
        prefix = merged["prefix"]?.stringValue ?? ""
    }

    /// The maximum number of tokens that are written where neither the model's positions nor the caller set a limit:
    /// files may ask for lengths that no text has (`"max_length": 4294967296`).
    static let longestWithoutContext = 4_096

    /// The parameters of one task in config.json: "summarization", or the first of its translations.
    private static func parameters(of task: Writer.Task?, _ config: JSONObject) -> JSONObject? {
        guard let task, let all = config["task_specific_params"]?.objectValue else { return nil }
        return all.members.first { $0.key.hasPrefix(task.rawValue) }?.value.objectValue
    }
}
