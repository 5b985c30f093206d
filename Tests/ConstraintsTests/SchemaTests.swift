import MartletConstraints
import MartletJSON
import Testing

@Suite struct SchemaTests {
    static let schemas: [(schema: String, whole: [String], none: [String])] = [
        (#"{"type":"boolean"}"#, ["true", "false"], ["null", "True"]),
        (#"{"type":["integer","null"]}"#, ["0", "-12", "null"], ["1.5", "01", "-0"]),
        (#"{"type":"number"}"#, ["0", "-0.5", "12.25e-3", "1E5"], [".5", "1.", "00"]),
        (#"{"type":"string"}"#, ["\"\"", #""a\n\u00e9 é""#, #""\/\"\\""#], [#""\q""#, "\"\n\"", #""\ud800""#]),
        (#"{"type":"string","minLength":2,"maxLength":3}"#, [#""ab""#, #""é\u0041😀""#], [#""a""#, #""abcd""#]),
        (#"{"type":"string","pattern":"^[a-z]+\"$"}"#, [#""ab\"""#], [#""ab""#, #""AB\"""#]),
        (#"{"type":"string","pattern":"b"}"#, [#""abc""#, #""b""#], [#""ac""#]),
        (#"{"type":"string","format":"date"}"#, [#""2026-11-29""#], [#""2026-13-01""#, #""2026-02-30""#]),
        (#"{"type":"string","format":"uuid"}"#, [#""123e4567-e89b-12d3-a456-426614174000""#], [#""123""#]),
        (#"{"enum":["a",1,null,{"x":[true]}]}"#, [#""a""#, "1", "null", #"{"x":[true]}"#], [#""b""#, "2"]),
        (#"{"enum":["a",1],"type":"string"}"#, [#""a""#], ["1"]),
        (#"{"const":"x y"}"#, [#""x y""#], [#""x""#]),
        (
            #"{"type":"integer","minimum":-12,"maximum":105}"#, ["-12", "-1", "0", "9", "10", "99", "105"],
            ["-13", "106", "110", "1.0"]
        ),
        (#"{"type":"integer","exclusiveMinimum":5,"maximum":7.5}"#, ["6", "7"], ["5", "8"]),
        (#"{"type":"number","minimum":0.5,"maximum":3}"#, ["1", "1.5", "2.25", "3"], ["0.4", "3.1", "-1"]),
        (
            #"{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3}"#, ["[1]", "[1, 2,3]"],
            ["[]", "[1,2,3,4]", "[1.5]"]
        ),
        (
            #"{"type":"array","prefixItems":[{"const":1},{"const":2}],"items":false}"#, ["[]", "[1]", "[1,2]"],
            ["[2]", "[1,2,3]"]
        ),
        (
            #"{"type":"array","prefixItems":[{"const":1}],"items":{"const":3},"minItems":2}"#, ["[1,3]", "[1,3,3]"],
            ["[1]", "[3]"]
        ),
        (
            #"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"}},"required":["b"]}"#,
            [#"{"a":1,"b":null}"#, #"{"b": null}"#], [#"{"a":1}"#, #"{"b":null,"a":1}"#, "{}"]
        ),
        (
            #"{"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"additionalProperties":false}"#,
            ["{}", #"{"a":1}"#, #"{"b":2,"c":3}"#, #"{"a":1, "c":3}"#], [#"{"c":3,"a":1}"#, #"{,"a":1}"#, #"{"a":1,}"#]
        ),
        (#"{"type":"object","additionalProperties":{"type":"integer"}}"#, ["{}", #"{"x":1,"y":2}"#], [#"{"x":"1"}"#]),
        (#"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#, [#""a""#, "3"], ["null"]),
        (
            #"{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"v":{"const":1}},"required":["k","v"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]}"#,
            [#"{"k":"a","v":1}"#, #"{"k":"b"}"#], [#"{"k":"a"}"#]
        ),
        (
            ##"{"allOf":[{"properties":{"a":{"const":1}}},{"$ref":"#/$defs/b"}],"type":"object","required":["a"],"$defs":{"b":{"properties":{"b":{"const":2}},"required":["b"]}}}"##,
            [#"{"a":1,"b":2}"#], [#"{"a":1}"#, #"{"b":2}"#]
        ),
        (
            ##"{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"v":{"const":0},"next":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},"required":["v","next"]}}}"##,
            [#"{"v":0,"next":{"v":0,"next":null}}"#], [#"{"v":0}"#]
        ),
        (##"{"type":"array","items":{"$ref":"#"}}"##, ["[]", "[[],[[]]]"], ["[1]"]),
        ("true", [#"{"a":[1,"b",null]}"#, "3", "[]"], ["nil"]),
    ]

    @Test(arguments: schemas)
    func valid(_ schema: String, _ whole: [String], _ none: [String]) throws {
        for text in whole { #expect(try verdict(.schema(schema), text) == .whole, "\(schema) \(text)") }
        for text in none { #expect(try verdict(.schema(schema), text) != .whole, "\(schema) \(text)") }
    }

    /// Refused by name, with the pointer.
    static let unsupported: [(schema: String, place: String)] = [
        (#"{"properties":{"a":{"not":{}}}}"#, "/properties/a/not"),
        (#"{"type":"array","uniqueItems":true}"#, "/uniqueItems"),
        (#"{"type":"string","pattern":"a","maxLength":3}"#, "/maxLength"),
        (#"{"type":"string","pattern":"(?=a)"}"#, "/pattern"),
        (#"{"type":"string","format":"uri"}"#, "/format"), (#"{"multipleOf":3}"#, "/multipleOf"),
        (#"{"type":"object","patternProperties":{}}"#, "/patternProperties"), (#"{"if":{}}"#, "/if"),
        (##"{"$ref":"other.json"}"##, "/$ref"), (##"{"$ref":"#/$defs/x"}"##, "/$ref"), (#"{"type":"text"}"#, "/type"),
        (#"{"oneOf":[{"type":"string"},{"minLength":2,"type":"string"}]}"#, "/oneOf"), (#"{"enum":[]}"#, "/enum"),
        (#"{"allOf":[{"type":"string"},{"type":"integer"}]}"#, "/allOf/1/type"),
        (#"{"const":1,"minimum":3}"#, "/minimum"),
        (#"{"allOf":[{"prefixItems":[{"const":3}]}],"items":{"const":5}}"#, "/items"),
        (
            #"{"allOf":[{"properties":{"a":{}}}],"additionalProperties":{"type":"boolean"}}"#,
            "/additionalProperties"
        ),
        (#"{"items":[{"contains":{}}],"type":"array"}"#, "/items"),
        (#"{"type":"integer","minimum":3,"maximum":2}"#, "/"),
    ]

    @Test(arguments: unsupported)
    func refused(_ schema: String, _ place: String) {
        let error = #expect(throws: ConstraintError.self) { try OutputConstraint.schema(schema).compiled() }
        #expect(error?.place == place)
    }

    /// No beginning leads into a property that nothing satisfies, nor deeper than rules may call: whatever is begun can
    /// be finished.
    @Test func everyBeginningCanBeFinished() throws {
        let impossible = #"{"type":"object","properties":{"foo":false,"bar":{"const":1}}}"#
        #expect(try verdict(.schema(impossible), #"{"f"#) == .none)
        #expect(try verdict(.schema(impossible), #"{"bar":1}"#) == .whole)
        let nested = String(repeating: #"{"a":"#, count: 80)
        var deepest = 0
        for count in stride(from: 5, to: nested.utf8.count, by: 5) {
            if try verdict(.schema("true"), String(nested.prefix(count))) == .begun { deepest = count / 5 }
        }
        let closed = String(nested.prefix(deepest * 5)) + "1" + String(repeating: "}", count: deepest)
        #expect(deepest > 20 && deepest < 80)
        #expect(try verdict(.schema("true"), closed) == .whole)
    }

    @Test func hostileSchemas() {
        let deep = String(repeating: #"{"items":"#, count: 300) + "true" + String(repeating: "}", count: 300)
        let wide =
            #"{"type":"array","items":{"type":"array","items":{"type":"string","maxLength":10000},"maxItems":1000},"maxItems":1000}"#
        for schema in [deep, wide, "[", ##"{"$ref":"#"}"##, ##"{"anyOf":[{"$ref":"#"},{"type":"null"}]}"##] {
            #expect(throws: ConstraintError.self) { try OutputConstraint.schema(schema).compiled() }
        }
    }

    /// Texts drawn at random parse, and are of the schema.
    @Test func drawnTextsAreValid() throws {
        let schema = #"""
            {"type":"object","additionalProperties":false,"required":["name","age","tags"],
             "properties":{"name":{"type":"string","minLength":1,"maxLength":8},"age":{"type":"integer","minimum":0,"maximum":130},
             "email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":4},
             "size":{"type":"number","exclusiveMinimum":-2,"maximum":2.5},"any":{}}}
            """#
        for seed in UInt64(0)..<60 {
            let text = try drawn(.schema(schema), seed, ending: 50)
            let value = try JSON(parsing: text)
            let name = try #require(value["name"]?.stringValue)
            #expect((1...8).contains(name.unicodeScalars.count))
            #expect((0...130).contains(try #require(value["age"]?.integerValue)))
            #expect(try #require(value["tags"]?.arrayValue).allSatisfy { ["a", "b"].contains($0.stringValue) })
            if let size = value["size"] { #expect(try #require(size.doubleValue) > -2 && size.doubleValue ?? 9 <= 2.5) }
        }
    }
}
