import MartletJSON
import MartletPlatform

/// Added tokens as `tokenizer.json` has them: each content once, as it came first.
private struct AddedTokens {
    private(set) var tokens: [JSON] = []
    private var contents: Set<ExactKey> = []
    /// The numbers of all tokens, of those in the vocabulary too.
    private(set) var ids: [ExactKey: Int]
    private var largest: Int

    init(_ model: SlowTokenizer.Model) {
        ids = model.ids
        for (content, id) in model.numbers { ids[ExactKey(content)] = id }
        largest = ids.values.max() ?? -1
    }

    /// Adds a token, unless its content is there.
    ///
    /// - Parameters:
    ///   - id: its number; where nil, that of the vocabulary, else the next one.
    ///   - form: how it takes part in a text, where the files say so.
    mutating func add(_ content: String, _ id: Int? = nil, _ form: JSON? = nil, isSpecial: Bool) {
        let key = ExactKey(content)
        guard !content.isEmpty, contents.insert(key).inserted else { return }
        let number = id ?? ids[key] ?? largest + 1
        // A number that is no id is refused by the reader of the result.
        if SlowTokenizer.numbers.contains(number) { (ids[key], largest) = (number, max(largest, number)) }
        func flag(_ key: String, _ standard: Bool) -> JSON { .bool(form?[key]?.boolValue ?? standard) }
        tokens.append([
            "id": .integer(number), "content": .string(content), "lstrip": flag("lstrip", false),
            "rstrip": flag("rstrip", false), "single_word": flag("single_word", false),
            "normalized": flag("normalized", !isSpecial), "special": .bool(isSpecial),
        ])
    }
}

extension SlowTokenizer {
    /// The added tokens: those that files number, then those of the class that no number has yet.
    func addedTokens(_ model: Model) throws -> (tokens: [JSON], ids: [ExactKey: Int]) {
        var added = AddedTokens(model)
        let others = ["additional_special_tokens", "extra_special_tokens"].flatMap { settings[$0]?.arrayValue ?? [] }
            .compactMap { form in form.tokenContent.map { (content: $0, form: form) } }
        let special = Set((TokenizerClass.roles.compactMap(token) + others.map(\.content)).map { ExactKey($0) })
        addDecoded(to: &added, model, special)
        try addNumbered(to: &added, special)
        addRoles(to: &added)
        for (content, form) in others { added.add(content, nil, form, isSpecial: true) }
        for content in hidden where added.ids[ExactKey(content)] != nil { added.add(content, isSpecial: true) }
        for (content, isSpecial) in model.further {
            added.add(content, nil, ["normalized": false], isSpecial: isSpecial)
        }
        return (added.tokens, added.ids)
    }

    /// Adds the tokens of `added_tokens_decoder`, by ascending number; those in `special` are so without saying it.
    private func addDecoded(to added: inout AddedTokens, _ model: Model, _ special: Set<ExactKey>) {
        let members = settings["added_tokens_decoder"]?.objectValue?.members ?? []
        for (id, form) in members.sorted(by: { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }) {
            guard let id = Int(id), let content = form["content"]?.stringValue, var form = form.objectValue else {
                continue
            }
            // Parts of a text between such tokens get a mark of their beginning each.
            if name == .sentencePiece, model.file?.addsDummyPrefix == true { form["normalized"] = false }
            let isSpecial = form["special"]?.boolValue == true || special.contains(ExactKey(content))
            added.add(content, id, .object(form), isSpecial: isSpecial)
        }
    }

    /// Adds the tokens of added_tokens.json, by ascending number.
    private func addNumbered(to added: inout AddedTokens, _ special: Set<ExactKey>) throws {
        let path = folder + "/added_tokens.json"
        let members = fileExists(path) ? try JSON(contentsOf: path, as: .python).objectValue?.members ?? [] : []
        let numbered = members.compactMap { content, id in id.integerValue.map { (content, $0) } }
        for (content, id) in numbered.sorted(by: { $0.1 < $1.1 }) {
            added.add(content, id, isSpecial: special.contains(ExactKey(content)))
        }
    }

    /// Adds the special tokens that have a role.
    private func addRoles(to added: inout AddedTokens) {
        for role in TokenizerClass.roles {
            guard let content = token(role) else { continue }
            var form = settings[role]
            if role == "mask_token", form?.objectValue == nil, name.masksBlanks { form = ["lstrip": true] }
            if name == .byT5, form?.objectValue == nil { form = ["lstrip": true, "rstrip": true] }
            added.add(content, nil, form, isSpecial: true)
        }
    }

    /// Further tokens of the class that no text should be split by.
    private var hidden: [String] {
        switch name {
        case .t5: (0..<extraTokens).map { "<extra_id_\($0)>" }
        case .pegasus: ["<mask_1>"] + (2..<firstPiece).map { "<unk_\($0)>" }
        case .mbart: LanguageCodes.mbart
        case .mbart50: LanguageCodes.mbart50
        default: []
        }
    }
}

extension JSON {
    /// The content of a token that is given as a text, or as an object that says more.
    var tokenContent: String? { stringValue ?? self["content"]?.stringValue }
}
