import MartletJSON
import MartletPlatform
import TestSupport

/// The seeds of mutations: small files of each parser's format, and the words of its language.
struct Seeds {
    enum Language {
        case bytes, json
        case text(signs: [String])
    }
    let language: Language
    let files: [[UInt8]]
    /// Its share of all mutations beside those of others: what is cheap gets more.
    let weight: Int

    func mutated(_ mutator: inout Mutator) -> [UInt8] {
        let file = files[mutator.below(files.count)]
        return switch language {
        case .bytes: mutator.bytes(file)
        case .json: mutator.json(file)
        case .text(let signs): mutator.text(file, signs: signs)
        }
    }

    /// The seeds of a parser, by its name.
    static func of(_ parser: String, _ fixtures: String) -> Seeds {
        func files(_ paths: [String]) -> [[UInt8]] {
            paths.compactMap { try? fileBytes(fixtures + "/" + $0) }
        }
        return switch parser {
        case "json":
            Seeds(language: .bytes, files: texts([#"{"a":[1,-2.5e3,"x\u00e9\n",null,true],"b":{}}"#]), weight: 120)
        case "config.json": Seeds(language: .json, files: configurations(fixtures), weight: 80)
        case "template": Seeds(language: .text(signs: templateSigns), files: texts(templates), weight: 120)
        case "expression": Seeds(language: .text(signs: expressionSigns), files: texts(expressions), weight: 80)
        case "schema": Seeds(language: .json, files: texts(schemas), weight: 100)
        case "regular expression": Seeds(language: .text(signs: expressionSigns), files: texts(expressions), weight: 60)
        case "grammar": Seeds(language: .text(signs: grammarSigns), files: texts(grammars), weight: 80)
        case "tokenizer.json":
            Seeds(language: .json, files: TokenizerSeeds.json + files(["tasks/translation/tokenizer.json"]), weight: 80)
        case "sentencepiece":
            Seeds(
                language: .bytes,
                files: (1...4).map { TokenizerSeeds.sentencePiece($0) }
                    + files(["tasks/translation-pieces/source.spm"]),
                weight: 80)
        case "tiktoken": Seeds(language: .bytes, files: [TokenizerSeeds.tiktoken], weight: 20)
        case "vocab.txt": Seeds(language: .bytes, files: [TokenizerSeeds.vocabulary], weight: 60)
        case "merges.txt":
            Seeds(language: .bytes, files: [TokenizerSeeds.pairs + [0] + TokenizerSeeds.merges], weight: 60)
        case "file.safetensors":
            Seeds(
                language: .bytes, files: files(["formats/reference.safetensors", "formats/writable.safetensors"]),
                weight: 100)
        case "file.bin":
            Seeds(
                language: .bytes,
                files: files(["zip", "legacy", "nested", "empty"].map { "formats/packed/\($0).bin" }),
                weight: 100)
        case "file.gguf":
            Seeds(
                language: .bytes,
                files: files(["formats/reference.gguf", "formats/aligned.gguf", "gguf/llama-q4_0.gguf"]), weight: 80)
        case "model.bin": Seeds(language: .bytes, files: [converted], weight: 60)
        default: Seeds(language: .bytes, files: [[0]], weight: 0)
        }
    }

    /// Writes the seeds of every parser into a folder of its name, and what its language is made of beside it, as
    /// libFuzzer reads them.
    static func write(to folder: String, _ fixtures: String) throws {
        for parser in Parser.all(scratch: folder) {
            let seeds = of(parser.name, fixtures)
            try Folder.make(folder + "/" + parser.name)
            for (index, file) in seeds.files.enumerated() {
                try Parser.write(file, to: folder + "/" + parser.name + "/seed\(index)")
            }
            guard case .text(let signs) = seeds.language else { continue }
            let lines = signs.map { sign in
                "\"" + sign.utf8.map { "\\x" + String(256 + Int($0), radix: 16).suffix(2) }.joined() + "\"\n"
            }
            try Parser.write(Array(lines.joined().utf8), to: folder + "/" + parser.name + ".dict")
        }
    }

    private static func texts(_ texts: [String]) -> [[UInt8]] { texts.map { Array($0.utf8) } }

    private static func configurations(_ fixtures: String) -> [[UInt8]] {
        Folder.names(in: fixtures + "/families").compactMap {
            try? fileBytes(fixtures + "/families/" + $0 + "/config.json")
        }
    }

    private static let templates = [
        #"{%- macro line(m, end='\n') -%}<|{{ m.role }}|>{{ m['content'] | trim }}{{ end }}{%- endmacro -%}{{ line(messages[0]) }}"#,
        "{%- set ns = namespace(n=0, a=[1]) -%}{% for m in messages if m.role != 'tool' %}{% set ns.n = ns.n + 1 %}{% set ns.a = [ns.a, m] %}{% endfor %}{{ ns.a | string }}",
        #"{% for m in messages %}{% if loop.last and not m.content[1:3] %}{{ m | tojson(indent=2) }}{% elif loop.index0 % 2 == 1 %}{{ "%02d" % 7 }}{% endif %}{% endfor %}"#,
        "{{ messages[:-1] | map(attribute='role') | join(',') }}{{ 'ab' | replace('a', 'bb') | indent(3) }}",
        "{{ messages | groupby('role') | list | length ~ ('x' * 3) | center(9) }}{% block b %}{{ '<' | e }}{% endblock %}",
    ]
    private static let templateSigns = [
        "{{", "}}", "{%", "%}", "|", "(", ")", "[", "]", "'", ".", "-", "~", "+", "*", "**", "//", "%", " in ",
        " if ", " else ", "9223372036854775807", "-1", "1e308", "ns.a", "messages", "|replace('a','b'*999)", "|join",
        "|tojson", "|indent(99)", "|list", "|sort", "|unique", "|safe", "|e", "|urlize", "|wordwrap(3)", "|pprint",
        "|batch(2)", "[::-1]", "range(9)", "{% for x in range(99) %}", "{% endfor %}", "{% set ns.a = [ns.a] %}",
        "loop",
        "self.b()", "|int", "|round(300)",
    ]
    private static let expressions = [
        #"(a|aa)+$"#, #"'s|'t|\p{L}+|\s+(?!\S)|\s+"#, #"(?:[a-z]{1,3})+|[^\r\n]?\d*"#,
    ]
    private static let expressionSigns = [
        "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?>", "(?i)", "[", "]", "[^", "&&", "|", "*", "+", "?", "{2,3}",
        "{9}", "\\s", "\\S", "\\p{L}", "\\p{Han}", "\\w", "\\b", "^", "$", ".", "a", "aa", "ab", "b", "-", "\\", "+?",
        "*+", "x",
    ]
    private static let schemas = [
        ##"{"type":"object","properties":{"a":{"type":"integer","minimum":-5,"maximum":300},"b":{"$ref":"#/$defs/c"}},"required":["a"],"additionalProperties":false,"$defs":{"c":{"type":"array","items":{"type":"string","minLength":1,"maxLength":4},"minItems":1,"maxItems":3}}}"##,
        #"{"anyOf":[{"type":"string","pattern":"^[a-c]{2}x?$"},{"enum":[1,null,"x",[true]]},{"const":{"a":1}},{"type":"number","minimum":0.5}]}"#,
        #"{"allOf":[{"type":"object","properties":{"d":{"type":"string","format":"date"}}},{"required":["d"]}],"prefixItems":[{"type":"boolean"}],"patternProperties":{"^x":{"type":["null","integer"]}}}"#,
    ]
    private static let grammars = [
        "root ::= item (\", \" item)*\nitem ::= [a-z]+ | \"\\\"\" [^\"\\\\]{0,5} \"\\\"\"\n# end",
        "root ::= \"{\" ws (pair (\",\" pair)?)? \"}\"\npair ::= \"\\x41\" | .\nws ::= [ \\t\\n]?",
    ]
    private static let grammarSigns = [
        "::=", "|", "(", ")", "*", "+", "?", "{2}", "{0,}", "{3,9}", "\"", "[", "]", "[^", "\\x41", "\\u{9}", "\\", ".",
        "\n", "#", "root", "item", "ws", "a", "-", " ",
    ]

    /// A CTranslate2 file of two variables.
    private static let converted: [UInt8] = {
        func number(_ value: Int, _ bytes: Int) -> [UInt8] {
            (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        func name(_ text: String) -> [UInt8] { number(text.utf8.count + 1, 2) + Array(text.utf8) + [0] }
        func variable(_ text: String, _ extents: [Int]) -> [UInt8] {
            let count = extents.reduce(1, *)
            return name(text) + [UInt8(extents.count)] + extents.flatMap { number($0, 4) } + [4] + number(count, 4)
                + [UInt8](repeating: 0, count: 4 * count)
        }
        return number(2, 4) + name("TransformerBase") + number(2, 4) + number(2, 4)
            + variable("encoder/weight", [2, 3]) + variable("decoder/bias", [4])
    }()
}
