package import MartletJSON

/// A WordPiece vocabulary with fewer tokens: words whose token is gone are spelled by the pieces that stay.
package struct VocabularyPruning: Sendable {
    /// The tokens that stay, by their number before, ascending: a token's place here is its new number.
    let kept: [Int]
    /// The tokens that stay, as the vocabulary spells them.
    let spellings: [String]
    /// The tokenizer.json of the smaller vocabulary.
    let tokenizer: JSON

    /// Keeps special tokens, single characters (those of ASCII, and whatever the text has), and then the most frequent
    /// tokens; of those that are equally frequent, the ones with smaller numbers.
    ///
    /// - Parameters:
    ///   - tokenizer: a tokenizer.json.
    ///   - count: tokens that stay.
    ///   - frequencies: how often a text has each token, by its number.
    /// - Throws: ``RunError`` for a vocabulary that is no WordPiece, has no more than `count` tokens, or needs more.
    package init(_ tokenizer: JSON, keeping count: Int, frequencies: [Int: Int]) throws(RunError) {
        guard tokenizer["model"]?["type"]?.stringValue == "WordPiece",
            let vocabulary = tokenizer["model"]?["vocab"]?.objectValue
        else { throw RunError("only vocabularies of WordPiece are made smaller: each token stands for itself there") }
        let prefix = tokenizer["model"]?["continuing_subword_prefix"]?.stringValue ?? "##"
        let tokens = vocabulary.members.compactMap { spelling, id in id.integerValue.map { (spelling, id: $0) } }
        guard count < tokens.count else {
            throw RunError("the vocabulary has \(tokens.count) tokens; \(count) cannot be left of it")
        }
        let special = Set((tokenizer["added_tokens"]?.arrayValue ?? []).compactMap { $0["id"]?.integerValue })
        func isNeeded(_ spelling: String, _ id: Int) -> Bool {
            if special.contains(id) { return true }
            let isContinued = spelling.utf8.starts(with: prefix.utf8) && spelling.utf8.count > prefix.utf8.count
            let scalars = spelling.unicodeScalars.dropFirst(isContinued ? prefix.unicodeScalars.count : 0)
            guard let scalar = scalars.first, scalars.count == 1 else { return false }
            return scalar.isASCII || frequencies[id] != nil
        }
        let needed = Set(tokens.filter { isNeeded($0.0, $0.id) }.map(\.id))
        guard needed.count <= count else {
            throw RunError("special tokens and single characters are \(needed.count) already, more than \(count)")
        }
        let others = tokens.map(\.id).filter { !needed.contains($0) }.sorted {
            (frequencies[$1] ?? 0, $0) < (frequencies[$0] ?? 0, $1)
        }
        let chosen = needed.union(others.prefix(count - needed.count))
        let staying = tokens.filter { chosen.contains($0.id) }.sorted { $0.id < $1.id }
        (kept, spellings) = (staying.map(\.id), staying.map(\.0))
        let places = Dictionary(kept.enumerated().map { ($1, $0) }) { first, _ in first }
        self.tokenizer = VocabularyPruning.renumbered(tokenizer, spellings, places)
    }

    /// The new number of a token that stays.
    func number(_ id: Int) -> Int? {
        kept.firstIndex(of: id)
    }

    /// The tokenizer's pipeline over the smaller vocabulary.
    private static func renumbered(_ tokenizer: JSON, _ spellings: [String], _ places: [Int: Int]) -> JSON {
        guard var root = tokenizer.objectValue, var model = root["model"]?.objectValue else { return tokenizer }
        var vocabulary = JSONObject()
        for (number, spelling) in spellings.enumerated() { vocabulary[spelling] = .integer(number) }
        model["vocab"] = .object(vocabulary)
        root["model"] = .object(model)
        func moved(_ id: JSON) -> JSON { id.integerValue.flatMap { places[$0] }.map { .integer($0) } ?? id }
        root["added_tokens"] = .array(
            (tokenizer["added_tokens"]?.arrayValue ?? []).map { token in
                guard var token = token.objectValue, let id = token["id"] else { return token }
                token["id"] = moved(id)
                return .object(token)
            })
        guard var processor = root["post_processor"]?.objectValue else { return .object(root) }
        // BertProcessing's pairs of spelling and number, and the table of TemplateProcessing.
        for key in ["sep", "cls"] {
            guard let pair = processor[key]?.arrayValue, pair.count == 2 else { continue }
            processor[key] = .array([pair[0], moved(pair[1])])
        }
        if let table = processor["special_tokens"]?.objectValue {
            var specials = JSONObject()
            for (key, value) in table.members {
                guard var special = value.objectValue, let ids = special["ids"]?.arrayValue else { continue }
                special["ids"] = .array(ids.map(moved))
                specials[key] = .object(special)
            }
            processor["special_tokens"] = .object(specials)
        }
        root["post_processor"] = .object(processor)
        return .object(root)
    }
}
