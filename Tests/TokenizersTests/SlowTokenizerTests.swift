import MartletFormats
import MartletJSON
import MartletPlatform
import MartletTokenizers
import TestSupport
import Testing

/// Tokenizers in the files that they were saved in before `tokenizer.json`, against transformers' ids.
@Suite struct SlowTokenizerTests {
    static let folder = Fixtures.folder + "/tokenizers/slow"
    static let names = Fixtures.entries(folder)

    @Test func thereAreClasses() { #expect(Self.names.count >= 35) }

    @Test(arguments: names) func idsAreTheReferences(name: String) throws {
        let tokenizer = try Tokenizer(path: Self.folder + "/" + name)
        let cases = try JSON(contentsOf: "\(Self.folder)/\(name)/expected.json").arrayValue ?? []
        #expect(cases.count == 20)
        for entry in cases {
            let texts = entry["texts"]?.arrayValue?.compactMap(\.stringValue) ?? []
            let found = try tokenizer.encoding(of: texts[0], pair: texts.count > 1 ? texts[1] : nil)
            #expect(found.ids.map { Int($0) } == entry["ids"]?.arrayValue?.compactMap(\.integerValue), "\(texts)")
            guard let segments = entry["segments"]?.arrayValue?.compactMap(\.integerValue) else { continue }
            #expect(found.typeIDs.map { Int($0) } == segments, "\(texts)")
        }
    }

    /// A class that nobody knows leaves the vocabulary as its file says.
    @Test func otherClassesAreReadAsBefore() throws {
        #expect(try SlowTokenizer.json(in: Fixtures.folder + "/tokenizers") == nil)
    }

    /// Runs `body` with a folder of BERT's class that has these added tokens and special ones.
    private func withTokens(_ added: String, special: String = "[]", _ body: (String) throws -> Void) throws {
        try TemporaryFolder.use { folder in
            for name in ["config.json", "vocab.txt"] {
                try writeFile(Fixtures.bytes("\(Self.folder)/bert/\(name)"), to: "\(folder)/\(name)")
            }
            try writeFile(Array(added.utf8), to: folder + "/added_tokens.json")
            try writeFile(
                Array("{\"additional_special_tokens\": \(special)}".utf8), to: folder + "/tokenizer_config.json")
            try body(folder)
        }
    }

    /// A class that parts texts by what stands in no file is refused by name, not read as another.
    @Test func classesThatNeedMoreThanTheirFilesAreRefused() throws {
        for (file, text) in [
            ("tokenizer_config.json", #"{"tokenizer_class": "BertJapaneseTokenizer"}"#),
            ("config.json", #"{"model_type": "roformer"}"#),
        ] {
            try TemporaryFolder.use { folder in
                try writeFile(Fixtures.bytes("\(Self.folder)/bert/vocab.txt"), to: folder + "/vocab.txt")
                try writeFile(Array(text.utf8), to: "\(folder)/\(file)")
                let error = #expect(throws: TokenizerError.self) { try Tokenizer(path: folder) }
                let name = text.contains("roformer") ? "RoFormerTokenizer" : "BertJapaneseTokenizer"
                #expect(error?.cause.contains(name) == true)
            }
        }
    }

    /// Numbers of M2M-100 that are not those from 0 on.
    @Test func numbersWithGapsAreRefused() throws {
        try TemporaryFolder.use { folder in
            for name in ["config.json", "sentencepiece.bpe.model"] {
                try writeFile(Fixtures.bytes("\(Self.folder)/m2m/\(name)"), to: "\(folder)/\(name)")
            }
            for table in [#"{"<s>": 0, "<unk>": 2}"#, #"{"<s>": 0, "<unk>": 0}"#, "{}", "[]"] {
                try writeFile(Array(table.utf8), to: folder + "/vocab.json")
                #expect(throws: TokenizerError.self, "\(table)") { try Tokenizer(path: folder) }
            }
        }
    }

    /// Tokens are bytes: two that are spelled alike in other scalars are two.
    @Test func tokensOfOtherScalarsAreTwo() throws {
        try withTokens(#"{"<\u00e9>": 111, "<e\u0301>": 112}"#) { folder in
            let tokenizer = try Tokenizer(path: folder)
            #expect(tokenizer.id(ofToken: "<\u{E9}>") == 111 && tokenizer.id(ofToken: "<e\u{301}>") == 112)
        }
    }

    @Test func numbersThatAreNoIdsAreRefused() throws {
        for number in ["9223372036854775807", "-1", "2147483648"] {
            try withTokens("{\"x\": \(number)}", special: #"["y"]"#) { folder in
                #expect(throws: TokenizerError.self, "\(number)") { try Tokenizer(path: folder) }
            }
        }
    }

    /// A class of Llama's begins texts where the files do not say it, whatever the model type.
    @Test func llamasClassBeginsTexts() throws {
        let text = "The quick fox"
        let framed = try Tokenizer(path: Self.folder + "/mistral").encode(text)
        for (settings, ids) in [
            (#"{"tokenizer_class": "LlamaTokenizerFast"}"#, framed), ("{}", Array(framed.dropFirst())),
        ] {
            try TemporaryFolder.use { folder in
                for name in ["config.json", "tokenizer.model"] {
                    try writeFile(Fixtures.bytes("\(Self.folder)/mistral/\(name)"), to: "\(folder)/\(name)")
                }
                try writeFile(Array(settings.utf8), to: folder + "/tokenizer_config.json")
                #expect(try Tokenizer(path: folder).encode(text) == ids, "\(settings)")
            }
        }
    }

    /// Tokens without a number come behind ByT5's bytes, though it has no gaps.
    @Test func tokensComeBehindTheBytes() throws {
        try TemporaryFolder.use { folder in
            let settings =
                #"{"tokenizer_class": "ByT5Tokenizer", "extra_ids": 0, "additional_special_tokens": ["<x>", "<y>"]}"#
            try writeFile(Array(settings.utf8), to: folder + "/tokenizer_config.json")
            let tokenizer = try Tokenizer(path: folder)
            #expect(tokenizer.id(ofToken: "<x>") == 259 && tokenizer.id(ofToken: "<y>") == 260)
        }
    }
}
