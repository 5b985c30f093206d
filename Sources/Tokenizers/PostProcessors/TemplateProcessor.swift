/// Texts and special tokens in a given order, each with a type id (`TemplateProcessing`).
struct TemplateProcessor: PostProcessor {
    /// An item of a template: a text, or special tokens.
    enum Item: Sendable, Equatable {
        /// The first text (0) or the second (1).
        case sequence(Int, typeID: Int32)
        /// The ids of a special token, by its name in the template.
        case special(name: String, ids: [Int32], typeID: Int32)
    }

    let single: [Item]
    let pair: [Item]

    func addedTokens(isPair: Bool) -> Int {
        (isPair ? pair : single).reduce(0) { total, item in
            if case .special(_, let ids, _) = item { total + ids.count } else { total }
        }
    }

    func process(_ encodings: [Encoding], addingSpecialTokens: Bool, _ context: PostProcessorContext) -> [Encoding] {
        let template = encodings.count > 1 ? pair : single
        return template.compactMap { item in
            switch item {
            case .sequence(let index, let typeID):
                guard index < encodings.count else { return nil }
                var encoding = encodings[index]
                encoding.setTypeID(typeID)
                for part in encoding.overflow.indices { encoding.overflow[part].setTypeID(typeID) }
                return encoding
            case .special(_, let ids, let typeID):
                guard addingSpecialTokens else { return nil }
                var encoding = Encoding()
                for id in ids { encoding.appendSpecial(id, typeID: typeID) }
                return encoding
            }
        }
    }
}
