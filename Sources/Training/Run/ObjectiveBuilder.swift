import MartletJSON
import MartletTokenizers

/// Objectives with the tokens that they need, found in the tokenizer and the model's configuration.
struct ObjectiveBuilder {
    private let tokenizer: Tokenizer
    private let config: JSONObject

    init(_ tokenizer: Tokenizer, _ config: JSONObject) { (self.tokenizer, self.config) = (tokenizer, config) }

    func objective(_ recipe: Recipe) throws(RunError) -> any Objective {
        switch recipe.objective {
        case .labelled: throw RunError("labelled files have no objective of plain texts")
        case .causal: return CausalLanguageModelling()
        case .sequenceToSequence:
            return SequenceToSequence(start: try configured("decoder_start_token_id"), longest: recipe.length)
        case .masked(let share, let wholeWords):
            return MaskedLanguageModelling(
                share: share, mask: try token(tokenizer.specialTokens.mask, ["[MASK]", "<mask>"], "mask"),
                vocabulary: tokenizer.vocabularySize,
                before: [try token(tokenizer.specialTokens.classifier, ["[CLS]", "<s>"], "first")],
                after: [try token(tokenizer.specialTokens.separator, ["[SEP]", "</s>"], "last")],
                beginsWord: wholeWords ? beginsWord() : nil)
        case .spanCorruption(let share, let length):
            let sentinels = (0..<100).compactMap { tokenizer.id(ofToken: "<extra_id_\($0)>") }
            guard !sentinels.isEmpty else {
                throw RunError("span corruption needs sentinels: tokens <extra_id_0>, <extra_id_1>, … in the tokenizer")
            }
            return SpanCorruption(
                share: share, meanLength: length, start: try configured("decoder_start_token_id"),
                end: try configured("eos_token_id"), sentinels: sentinels)
        }
    }

    private func configured(_ key: String) throws(RunError) -> Int32 {
        guard let id = config[key]?.integerValue, let id = Int32(exactly: id), id >= 0 else {
            throw RunError("this objective needs \(key) in the model's configuration")
        }
        return id
    }

    private func token(_ known: Int32?, _ spellings: [String], _ role: String) throws(RunError) -> Int32 {
        if let known { return known }
        for spelling in spellings { if let id = tokenizer.id(ofToken: spelling) { return id } }
        throw RunError("this objective needs a \(role) token, spelled \(spellings.joined(separator: " or "))")
    }

    /// The tokens that begin words: by "##" before those that do not, else by "Ġ" or "▁" before those that do.
    private func beginsWord() -> [Bool] {
        let spellings = (0..<tokenizer.vocabularySize).map { tokenizer.token(Int32($0)).map { Array($0.utf8) } ?? [] }
        func starts(_ spelling: [UInt8], _ prefix: String) -> Bool { spelling.starts(with: prefix.utf8) }
        if spellings.contains(where: { $0.count > 2 && starts($0, "##") }) {
            return spellings.map { !starts($0, "##") }
        }
        return spellings.enumerated().map { id, spelling in
            starts(spelling, "Ġ") || starts(spelling, "▁") || tokenizer.isSpecial(Int32(id))
        }
    }
}
