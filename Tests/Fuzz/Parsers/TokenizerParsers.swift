import MartletTokenizers

extension Parser {
    /// The parsers of vocabularies.
    static var tokenizers: [Parser] {
        [
            Parser(name: "tokenizer.json") { bytes in
                let tokenizer = try Tokenizer(json: bytes)
                for text in lines {
                    let encoding = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 8))
                    _ = try tokenizer.decode(encoding.ids)
                    _ = try tokenizer.encoding(of: text, pair: "b a")
                }
                _ = try tokenizer.json()
            },
            Parser(name: "sentencepiece") { try encode(Tokenizer(sentencePiece: $0)) },
            Parser(name: "tiktoken") { try encode(Tokenizer(tiktoken: $0, encoding: .cl100k)) },
            Parser(name: "vocab.txt") { try encode(Tokenizer(vocabularyText: $0)) },
            // A vocab.json, a zero byte, a merges.txt.
            Parser(name: "merges.txt") { bytes in
                let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map { Array($0) }
                try encode(Tokenizer(vocabulary: parts[0], merges: parts.last ?? []))
            },
        ]
    }

    private static func encode(_ tokenizer: Tokenizer) throws {
        for text in lines { _ = try tokenizer.decode(tokenizer.encode(text)) }
    }
}
