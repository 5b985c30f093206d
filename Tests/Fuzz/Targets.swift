import Foundation
import Martlet
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTemplates
import MartletTensors
import MartletTokenizers
import MartletTraining
import TestSupport

/// What is mutated, and how what loads is used.
struct FuzzTarget {
    let name: String
    /// Runs one mutation. Errors are what it is for; traps, hangs and memory are not.
    let run: (inout Mutator) throws -> Void
}

enum FuzzTargets {
    static func all(_ fixtures: String, scratch: String) throws -> [FuzzTarget] {
        let device = Device(threads: 1)
        return try templates() + expressions() + recipes() + tokenizers(fixtures)
            + models(fixtures, scratch, device) + ggufs(fixtures, scratch, device)
    }

    private static let texts = [
        "", "a", "Ada walked to London and Paris.", "Zürich: café naïve 東京 🦜\n\t x", "aaaaaaaaaaaaaaab",
    ]

    // MARK: Texts

    private static func templates() -> [FuzzTarget] {
        let source = Array(
            """
            {%- macro line(m, end='\\n') -%}<|{{ m.role }}|>{{ m['content'] | trim }}{{ end }}{%- endmacro -%}
            {%- set ns = namespace(n=0, a=[1]) -%}{% for m in messages if m.role != 'tool' %}{% set ns.n = ns.n + 1 %}{{ line(m, end=' ') }}
            {%- set ns.a = [ns.a, m] %}{% if loop.last and not m.content[1:3] %}{{ m | tojson(indent=2) }}{% elif loop.index0 % 2 == 1 %}{{ "%02d" % ns.n }}
            {%- else %}{{ messages[:-1] | map(attribute='role') | join(',') }}{% endif %}{% endfor %}{{ ns.a | string | replace('a', 'bb') | indent(3) }}
            {{ messages | groupby('role') | list | length ~ ('x' * 3) | center(9) }}{% block b %}{{ '<' | e }}{% endblock %}
            """.utf8)
        let signs = [
            "{{", "}}", "{%", "%}", "|", "(", ")", "[", "]", "'", ".", "-", "~", "+", "*", "**", "//", "%", " in ",
            " if ", " else ",
            "9223372036854775807", "-1", "1e308", "ns.a", "messages", "|replace('a','b'*999)", "|join", "|tojson",
            "|indent(99)",
            "|list", "|sort", "|unique", "|safe", "|e", "|urlize", "|wordwrap(3)", "|pprint", "|batch(2)", "[::-1]",
            "range(9)",
            "{% for x in range(99) %}", "{% endfor %}", "{% set ns.a = [ns.a] %}", "loop", "self.b()", "|int",
            "|round(300)",
        ]
        let messages: JSON = [["role": "user", "content": " a b "], ["role": "assistant", "content": "c"]]
        return [
            FuzzTarget(name: "template") { mutator in
                let bytes = mutator.text(source, signs: signs)
                var limits = ChatTemplate.Limits()
                limits.steps = 200_000
                _ = try ChatTemplate(String(decoding: bytes, as: UTF8.self)).render(messages: messages, limits: limits)
            }
        ]
    }

    private static func expressions() -> [FuzzTarget] {
        let signs = [
            "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?>", "(?i)", "[", "]", "[^", "&&", "|", "*", "+", "?", "{2,3}",
            "{9}", "\\s", "\\S",
            "\\p{L}", "\\p{Han}", "\\w", "\\b", "^", "$", ".", "a", "aa", "ab", "b", "-", "\\", "+?", "*+", "x",
        ]
        let sources = [#"(a|aa)+$"#, #"'s|'t|\p{L}+|\s+(?!\S)|\s+"#, #"(?:[a-z]{1,3})+|[^\r\n]?\d*"#].map {
            Array($0.utf8)
        }
        return [
            FuzzTarget(name: "expression") { mutator in
                let source = sources[mutator.below(sources.count)]
                let regex = String(decoding: mutator.text(source, signs: signs), as: UTF8.self)
                let tokenizer = try Tokenizer(json: [
                    "model": ["type": "WordLevel", "vocab": ["<unk>": 0], "unk_token": "<unk>"],
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": .string(regex)], "behavior": "Isolated", "invert": false,
                    ],
                ])
                for text in texts + [String(repeating: "aab ", count: 500)] { _ = try tokenizer.encode(text) }
            }
        ]
    }

    private static func recipes() -> [FuzzTarget] {
        let source = Array(
            """
            model: {config: {model_type: gpt2, n_embd: 8, n_head: 2, n_layer: 1, n_positions: 16}}
            data: {sources: [{path: a.txt, weight: 1}], holdout: 0.1, temperature: 2, document_end: "</s>"}
            tokenizer: {kind: byte-bpe, vocabulary: 300, special_tokens: [a, b]}
            objective: {name: masked, share: 0.2}
            length: 8
            batch: {tokens: 64, accumulation: 2}
            optimizer: {name: adamw, learning_rate: 1e-3, betas: [0.9, 0.95]}
            schedule: {name: cosine, warmup: 3}
            epochs: 2
            evaluation: {every: 5}
            """.utf8)
        let signs = [
            ": ", "{", "}", "[", "]", ",", "\n", "-1", "1e308", ".nan", "&a ", "*a", "!!int ", "|", ">", "'", "\"",
            "9223372036854775807",
        ]
        return [
            FuzzTarget(name: "recipe") { mutator in
                let text = String(decoding: mutator.text(source, signs: signs), as: UTF8.self)
                let recipe = try Recipe(yaml: text, path: "recipe.yaml")
                _ = RunSettings(recipe, tokens: 1000)
            }
        ]
    }

    private static func tokenizers(_ fixtures: String) throws -> [FuzzTarget] {
        var files: [[UInt8]] = []
        for folder in [
            "tasks/tags", "tasks/answers", "tasks/classes", "tasks/translation", "tasks/summary", "tasks/fillings",
        ] {
            if let data = try? Data(contentsOf: URL(fileURLWithPath: fixtures + "/" + folder + "/tokenizer.json")) {
                files.append(Array(data))
            }
        }
        let sources = files
        guard !sources.isEmpty else { return [] }
        return [
            FuzzTarget(name: "tokenizer.json") { mutator in
                let tokenizer = try Tokenizer(json: mutator.json(sources[mutator.below(sources.count)]))
                for text in texts {
                    let encoding = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: 8))
                    _ = try tokenizer.decode(encoding.ids)
                    _ = try tokenizer.encoding(of: text, pair: "b a")
                }
                _ = try tokenizer.json()
            },
            FuzzTarget(name: "vocabularies") { mutator in
                let source = sources[mutator.below(sources.count)]
                let bytes = mutator.bytes(Array(source.prefix(3000)))
                _ = try? Tokenizer(sentencePiece: bytes)
                _ = try? Tokenizer(vocabularyText: bytes)
                _ = try? Tokenizer(tiktoken: bytes, encoding: .cl100k)
                _ = try? JSON(parsing: bytes)
            },
        ]
    }

    // MARK: Models

    private static func models(_ fixtures: String, _ scratch: String, _ device: Device) throws -> [FuzzTarget] {
        let folders = ["families", "tasks"].flatMap { kind in
            Folder.names(in: fixtures + "/" + kind).map { fixtures + "/" + kind + "/" + $0 }
        }.filter { fileExists($0 + "/config.json") }
        guard !folders.isEmpty else { return [] }
        return [
            FuzzTarget(name: "model") { mutator in
                let folder = folders[mutator.below(folders.count)]
                let copy = scratch + "/model"
                try? FileManager.default.removeItem(atPath: copy)
                try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
                let names = Folder.names(in: folder).filter {
                    !$0.hasPrefix("expected") && !fileExists(folder + "/" + $0 + "/.")
                }
                let chosen = names[mutator.below(names.count)]
                for name in names {
                    let path = folder + "/" + name
                    guard name == chosen else {
                        try FileManager.default.createSymbolicLink(atPath: copy + "/" + name, withDestinationPath: path)
                        continue
                    }
                    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
                    let mutated = name.hasSuffix(".json") ? mutator.json(bytes) : mutator.bytes(bytes)
                    try Data(mutated).write(to: URL(fileURLWithPath: copy + "/" + name))
                }
                try use(copy, device)
            }
        ]
    }

    private static func ggufs(_ fixtures: String, _ scratch: String, _ device: Device) throws -> [FuzzTarget] {
        let files = Folder.names(in: fixtures + "/gguf").filter { $0.hasSuffix(".gguf") }.map {
            fixtures + "/gguf/" + $0
        }
        let sources = files.compactMap { try? Data(contentsOf: URL(fileURLWithPath: $0)) }.map { Array($0) }
        guard !sources.isEmpty else { return [] }
        return [
            FuzzTarget(name: "gguf") { mutator in
                let path = scratch + "/model.gguf"
                try Data(mutator.bytes(sources[mutator.below(sources.count)])).write(to: URL(fileURLWithPath: path))
                try use(path, device)
            }
        ]
    }

    /// Loads a model and lets it do what it is for.
    private static func use(_ path: String, _ device: Device) throws {
        let file = try ModelFile(path: path)
        let tokenizer = try? ModelText.tokenizer(of: file)
        let messages: JSON = [["role": "user", "content": "a"]]
        _ = try? tokenizer.map { try ChatFormat(file, $0).template.render(messages: messages) }
        if case .decoder = file.architecture.body, file.architecture.writes {
            let decoder = try file.decoder(on: device)
            let options = TokenGenerator.Options(maximumTokens: 3)
            let prompt = (try? tokenizer?.encode("Ada a b")) ?? [1, 2, 3]
            var generator = try TokenGenerator(decoder, prompt: Array(prompt.prefix(8)), options, on: device)
            while generator.next() != nil {}
            return
        }
        guard let tokenizer else { return }
        if file.architecture.writes {
            var writer = try Writer(file, tokenizer, task: .translation, on: device)
            writer.settings.search.maximumTokens = min(writer.settings.search.maximumTokens, 4)
            writer.settings.search.beams = min(writer.settings.search.beams, 4)
            _ = try writer.write(["Ada a b"])
            return
        }
        _ = try? Embedder(file, tokenizer, on: device).embed(texts.filter { !$0.isEmpty })
        _ = try? Classifier(file, tokenizer, on: device).classify([("Ada a", "b")])
        _ = try? Tagger(file, tokenizer, on: device).tag(["Ada walked to London"], .first)
        _ = try? MaskFiller(file, tokenizer, on: device).fill(["Ada [MASK] <mask> b"], count: 2)
        _ = try? Answerer(file, tokenizer, on: device).answer([("who is Ada", "Ada lived in London.")])
    }
}
