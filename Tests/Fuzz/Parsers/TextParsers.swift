import MartletConstraints
import MartletGeneration
import MartletJSON
import MartletModels
import MartletTemplates
import MartletTokenizers

extension Parser {
    /// The parsers of languages: JSON, configurations, chat templates, expressions, constraints.
    static var texts: [Parser] {
        [
            Parser(name: "json") { bytes in
                _ = try? JSON(parsing: bytes, as: .python)
                let tree = try JSON(parsing: bytes)
                let again = try JSON(parsing: Array(tree.text(.compact).utf8))
                precondition(again == tree, "a JSON value is not what it was written as")
            },
            Parser(name: "config.json") { bytes in
                guard let config = try JSON(parsing: bytes, as: .python).objectValue else { return }
                _ = try ModelFile.describe(config, path: "config.json").architecture.inventory()
            },
            Parser(name: "template") { bytes in
                var limits = ChatTemplate.Limits()
                limits.steps = 50_000
                let messages: JSON = [["role": "user", "content": " a b "], ["role": "assistant", "content": "c"]]
                _ = try ChatTemplate(String(decoding: bytes, as: UTF8.self)).render(messages: messages, limits: limits)
            },
            Parser(name: "expression") { bytes in
                let tokenizer = try Tokenizer(json: [
                    "model": ["type": "WordLevel", "vocab": ["<unk>": 0], "unk_token": "<unk>"],
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": .string(String(decoding: bytes, as: UTF8.self))],
                        "behavior": "Isolated", "invert": false,
                    ],
                ])
                for text in lines { _ = try tokenizer.encode(text) }
                // What takes more than linear time shows on this.
                if bytes.count % 8 == 0 { _ = try tokenizer.encode(String(repeating: "aab ", count: 500)) }
            },
            Parser(name: "schema") { try follow(.schema(String(decoding: $0, as: UTF8.self))) },
            Parser(name: "regular expression") { try follow(.regularExpression(String(decoding: $0, as: UTF8.self))) },
            Parser(name: "grammar") { try follow(.grammar(String(decoding: $0, as: UTF8.self))) },
        ]
    }

    /// The tokens of constraints: every byte, and an end.
    private static let vocabulary = ConstraintVocabulary(
        bytes: (0...256).map { $0 < 256 ? [UInt8($0)] : nil }, count: 257)

    /// Compiles a constraint and writes up to 16 tokens under it.
    private static func follow(_ constraint: OutputConstraint) throws {
        let masks = try ConstraintMasks(constraint.compiled(), vocabulary) { $0 < 256 ? [UInt8($0)] : nil }
        var sequence = GrammarConstraint(masks, stopTokens: [256])
        for turn in 0..<16 where !sequence.isFinished {
            _ = try sequence.forcedTokens()
            let mask = try sequence.allowed()
            let allowed = (0...256).filter { mask?[Int32($0)] ?? true }
            guard !allowed.isEmpty else { return }
            sequence.append(Int32(allowed[turn * 7 % allowed.count]))
        }
    }
}
