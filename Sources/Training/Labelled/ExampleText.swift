package import MartletTokenizers

/// Examples as a person reads them: what the model reads, and which of its rows are trained towards what.
package struct ExampleText: Sendable {
    private let tokenizer: Tokenizer
    /// The names of classes and tags.
    private let names: [String]

    package init(_ tokenizer: Tokenizer, names: [String]) { (self.tokenizer, self.names) = (tokenizer, names) }

    /// The texts of an example, one a line, then its label. What is predicted stands in ⟦ ⟧: tokens that a row in front
    /// of them learns to predict, words with their tags, the answer.
    ///
    /// - Throws: ``TokenizerError`` for a token that the vocabulary does not have.
    package func lines(_ example: Example) throws(TokenizerError) -> [String] {
        if case .preference = example.label {
            let (first, second) = (example.tokens, example.others[0])
            return [
                "chosen: " + (try predicted(first, Array(example.targets.prefix(first.count)))),
                "rejected: " + (try predicted(second, Array(example.targets.dropFirst(first.count)))),
            ]
        }
        if let label = example.label { return try labelled(example, label) }
        if let written = example.decoderTokens {
            return [
                "reads: " + (try spelled(example.tokens)), "writes: " + (try predicted(written, example.targets)),
            ]
        }
        return [
            names.isEmpty
                ? try predicted(example.tokens, example.targets) : try tagged(example.tokens, example.targets)
        ]
    }

    private func labelled(_ example: Example, _ label: Label) throws(TokenizerError) -> [String] {
        if case .span(let rows) = label {
            let isThere = rows != 0...0
            return [try marked(example.tokens) { isThere && rows.contains($0) }] + (isThere ? [] : ["→ no answer"])
        }
        var texts: [String] = []
        for tokens in [example.tokens] + example.others { texts.append(try spelled(tokens)) }
        switch label {
        case .category(let number): return texts + ["→ " + name(Int(number))]
        case .numbers(let numbers) where numbers.count == names.count && numbers.count > 1:
            let held = numbers.indices.filter { numbers[$0] > 0.5 }.map(name)
            return texts + ["→ " + (held.isEmpty ? "no label" : held.joined(separator: ", "))]
        case .numbers(let numbers): return texts + ["→ " + numbers.map { "\($0)" }.joined(separator: " ")]
        case .match: return texts + ["→ the first two belong together"]
        case .span, .preference: return texts
        }
    }

    private func name(_ number: Int) -> String { names.indices.contains(number) ? names[number] : "\(number)" }

    private func spelled(_ tokens: [Int32]) throws(TokenizerError) -> String { try marked(tokens) { _ in false } }

    /// Each run of tokens that is predicted, where the target of a row is the next token; else, as behind masks, the
    /// target itself.
    private func predicted(_ tokens: [Int32], _ targets: [Int32]) throws(TokenizerError) -> String {
        let isNext = targets.indices.allSatisfy { row in
            targets[row] < 0 || row + 1 >= tokens.count || tokens[row + 1] == targets[row]
        }
        guard isNext else {
            var pieces: [String] = []
            for (token, target) in zip(tokens, targets) {
                pieces.append(try spelled([token]) + (target >= 0 ? "⟦\(try spelled([target]))⟧" : ""))
            }
            return pieces.joined(separator: " ")
        }
        let text = try marked(tokens) { $0 > 0 && targets[$0 - 1] >= 0 }
        guard let last = targets.last, last >= 0 else { return text }
        return text + "⟦\(try spelled([last]))⟧"
    }

    private func tagged(_ tokens: [Int32], _ tags: [Int32]) throws(TokenizerError) -> String {
        var pieces: [String] = []
        for (token, tag) in zip(tokens, tags) {
            let piece = try spelled([token])
            pieces.append(tag >= 0 ? "⟦\(piece)/\(name(Int(tag)))⟧" : piece)
        }
        return pieces.joined(separator: " ")
    }

    /// The text of the tokens, those that are wanted in brackets.
    private func marked(_ tokens: [Int32], _ isWanted: (Int) -> Bool) throws(TokenizerError) -> String {
        var (text, run, wanted) = ("", [Int32](), false)
        func close() throws(TokenizerError) {
            guard !run.isEmpty else { return }
            let piece = try tokenizer.decode(run, skipSpecialTokens: false)
            text += wanted ? "⟦\(piece)⟧" : piece
            run = []
        }
        for (row, token) in tokens.enumerated() {
            if isWanted(row) != wanted {
                try close()
                wanted = isWanted(row)
            }
            run.append(token)
        }
        try close()
        return text
    }
}
