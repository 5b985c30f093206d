import MartletJSON
import Testing

@Suite("Accepted texts")
struct ParsingTests {
    @Test(
        "scalars",
        arguments: [
            ("null", JSON.null), ("true", .bool(true)), (" false\t\r\n", .bool(false)), ("0", .integer(0)),
            ("-0", .integer(0)), ("-12", .integer(-12)), ("9223372036854775807", .integer(.max)),
            ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
            ("1000000000000000019884624838656", .number(1e30)), ("1.0", .number(1)), ("-0.0", .number(-0.0)),
            ("1e2", .number(100)), ("1E+2", .number(100)), ("25e-2", .number(0.25)), ("1e-400", .number(0)),
            ("0e999999999999999999999", .number(0)), ("1e23", .number(1e23)),
            ("8.5e-324", .number(.leastNonzeroMagnitude * 2)),
            ("123456789012345678", .integer(123_456_789_012_345_678)), ("0.1", .number(0.1)),
            ("1.7976931348623157e308", .number(.greatestFiniteMagnitude)),
            ("-9.97299861907959", .number(-9.97299861907959)),
            ("0.30000000000000004", .number(0.1 + 0.2)), ("\"\"", .string("")), ("[]", .array([])),
            ("{}", .object(JSONObject())),
        ])
    func scalars(text: String, value: JSON) throws {
        #expect(try JSON(parsing: text) == value)
    }

    @Test("minus zero keeps its sign as a number")
    func minusZero() throws {
        #expect(try JSON(parsing: "-0.0").doubleValue?.sign == .minus)
    }

    @Test(
        "strings",
        arguments: [
            (#""a\"b\\c\/d""#, "a\"b\\c/d"), (#""\b\f\n\r\t""#, "\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83d\ude00""#, "😀"), (#""😀\u0000""#, "😀\u{0}"), ("\"\u{7F}\u{2028}\"", "\u{7F}\u{2028}"),
            (#""\uFFFF""#, "\u{FFFF}"),
        ])
    func strings(text: String, value: String) throws {
        let parsed = try #require(try JSON(parsing: text).stringValue)
        #expect(Array(parsed.utf8) == Array(value.utf8))
    }

    @Test("what Python's json module reads besides")
    func python() throws {
        let text =
            "\u{FEFF}{\"a\": NaN, \"b\": [Infinity, -Infinity, 1e400], \"c\": {\"x\": 1, \"x\": 2}, \"a\": 3, \"d\": 4}"
        let value = try JSON(parsing: text, as: .python)
        #expect(
            value == [
                "a": 3, "b": [.number(.infinity), .number(-.infinity), .number(.infinity)], "c": ["x": 2], "d": 4,
            ])
        #expect(value.objectValue?.keys == ["a", "b", "c", "d"])
        #expect(try JSON(parsing: "NaN", as: .python).doubleValue?.isNaN == true)
        for text in ["Inf", "-Infinit", "Nan", "\u{FEFF}", "1\u{FEFF}"] {
            #expect(throws: JSONError.self) { try JSON(parsing: text, as: .python) }
        }
        for text in ["NaN", "[-Infinity]", "1e400", "\u{FEFF}1", #"{"a": 1, "a": 1}"#] {
            #expect(throws: JSONError.self) { try JSON(parsing: text) }
        }
    }

    @Test("containers keep their order")
    func containers() throws {
        let value = try JSON(parsing: #" { "b" : [1, [], {"x": null}], "a": {"b": "c"}, "": 2.5 } "#)
        #expect(value == ["b": [1, [], ["x": nil]], "a": ["b": "c"], "": 2.5])
        #expect(value.objectValue?.keys == ["b", "a", ""])
        #expect(value["a"]?["b"]?.stringValue == "c")
        #expect(value["b"]?[2]?["x"]?.isNull == true)
        #expect(value["b"]?[3] == nil)
        #expect(value["missing"] == nil)
    }

    @Test("keys in composed and decomposed form stay apart", arguments: [1, 100])
    func normalization(others: Int) throws {
        let rest = (0..<others).map { ", \"k\($0)\": \($0)" }.joined()
        let value = try JSON(parsing: "{\"caf\u{E9}\": \"NFC\", \"cafe\u{301}\": \"NFD\"\(rest)}")
        #expect(value["caf\u{E9}"]?.stringValue == "NFC")
        #expect(value["cafe\u{301}"]?.stringValue == "NFD")
        #expect(value.objectValue?.count == others + 2)
        #expect(JSON.string("caf\u{E9}") != JSON.string("cafe\u{301}"))
    }

    @Test("nesting up to the limit")
    func depth() throws {
        let limit = 512
        var value = try JSON(parsing: String(repeating: "[", count: limit) + String(repeating: "]", count: limit))
        for _ in 1..<limit { value = try #require(value[0]) }
        #expect(value == [])
    }

    @Test("a large vocabulary finds every key")
    func vocabulary() throws {
        let count = 100_000
        let text = "{" + (0..<count).map { "\"token\($0)\": \($0)" }.joined(separator: ",") + "}"
        let object = try #require(try JSON(parsing: text).objectValue)
        #expect(object.count == count)
        #expect((0..<count).allSatisfy { object["token\($0)"] == .integer($0) })
        #expect(object["token\(count)"] == nil)
    }
}

@Suite("Refused texts")
struct RefusalTests {
    @Test(
        "each with its cause and place",
        arguments: [
            ("", JSONError.Kind.unexpectedEnd(expected: "a value"), 0), ("  ", .unexpectedEnd(expected: "a value"), 2),
            ("[1,]", .unexpectedByte(0x5D, expected: "a value"), 3),
            ("[1 2]", .unexpectedByte(0x32, expected: "',' or ']'"), 3),
            ("[1}", .unexpectedByte(0x7D, expected: "',' or ']'"), 2),
            ("]", .unexpectedByte(0x5D, expected: "a value"), 0),
            ("{\"a\":1,}", .unexpectedByte(0x7D, expected: "a key in double quotes"), 7),
            ("{a:1}", .unexpectedByte(0x61, expected: "a key in double quotes"), 1),
            ("{\"a\" 1}", .unexpectedByte(0x31, expected: "':'"), 5),
            ("{\"a\":}", .unexpectedByte(0x7D, expected: "a value"), 5),
            ("{\"a\":1]", .unexpectedByte(0x5D, expected: "',' or '}'"), 6), ("1 2", .textAfterValue, 2),
            ("{}\0", .textAfterValue, 2),
            ("01", .leadingZero, 0), ("-01", .leadingZero, 0), ("-", .unexpectedEnd(expected: "a digit"), 1),
            ("+1", .unexpectedByte(0x2B, expected: "a value"), 0),
            (".5", .unexpectedByte(0x2E, expected: "a value"), 0),
            ("1.", .unexpectedEnd(expected: "a digit after the point"), 2),
            ("1.e3", .unexpectedByte(0x65, expected: "a digit after the point"), 2),
            ("1e", .unexpectedEnd(expected: "a digit of the exponent"), 2), ("1e400", .notFinite("1e400"), 0),
            ("[-1e400]", .notFinite("-1e400"), 1),
            ("NaN", .notFinite("NaN"), 0), ("[Infinity]", .notFinite("Infinity"), 1),
            ("-Infinity", .notFinite("-Infinity"), 0),
            ("tru", .unexpectedByte(0x74, expected: "a value"), 0),
            ("nul", .unexpectedByte(0x6E, expected: "a value"), 0),
            ("truex", .textAfterValue, 4), ("'a'", .unexpectedByte(0x27, expected: "a value"), 0),
            ("\"a", .unexpectedEnd(expected: "the end of a string"), 2),
            ("\"\\", .unexpectedEnd(expected: "an escape"), 2),
            ("\"\\n", .unexpectedEnd(expected: "the end of a string"), 3), ("\"a\nb\"", .controlCharacter(0x0A), 2),
            ("\"\\na\u{1}\"", .controlCharacter(1), 4), (#""\x""#, .invalidEscape, 1),
            (#""\u12g4""#, .invalidEscape, 1),
            (#""\u12"#, .unexpectedEnd(expected: "a hexadecimal digit"), 5), (#""a\ud83d""#, .loneSurrogate(0xD83D), 2),
            (#""\ud83dA""#, .loneSurrogate(0xD83D), 1), (#""\ud83d\u0041""#, .loneSurrogate(0xD83D), 1),
            (#""\ude00""#, .loneSurrogate(0xDE00), 1),
            ("{\"a\":1,\"b\":2,\"a\":3}", .duplicateKey("a"), 13),
            ("[{\"x\":{\"y\":1},\"x\":2}]", .duplicateKey("x"), 14),
            (#"{"a":1,"\u0061":2}"#, .duplicateKey("a"), 7), ("/* */ 1", .unexpectedByte(0x2F, expected: "a value"), 0),
            ("\u{FEFF}{}", .byteOrderMark, 0),
        ])
    func refused(text: String, kind: JSONError.Kind, offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
        #expect(error?.kind == kind)
        #expect(error?.offset == offset)
    }

    @Test(
        "bytes that are no UTF-8",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF4, 0x90, 0x80, 0x80], [0x80]])
    func invalidUTF8(bytes: [UInt8]) {
        for prefix in ["", "\\n"] {
            let error = #expect(throws: JSONError.self) {
                try JSON(parsing: Array("[\"\(prefix)".utf8) + bytes + Array("\"]".utf8))
            }
            #expect(error?.kind == .invalidUTF8)
        }
        #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
    }

    @Test("nesting past the limit, however deep", arguments: [513, 100_000])
    func depth(levels: Int) {
        for open in ["[", "{\"a\":"] {
            let error = #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: open, count: levels)) }
            #expect(error?.kind == .tooDeep(limit: 512))
            #expect(error?.offset == 512 * open.utf8.count)
        }
    }

    @Test("a duplicate among many keys")
    func duplicateAmongMany() {
        let text = "{" + (0..<1000).map { "\"k\($0)\": 0,\n" }.joined() + "\"k500\": 1}"
        let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
        #expect(error?.kind == .duplicateKey("k500"))
        #expect(error?.line == 1001)
        #expect(error?.column == 1)
        #expect(error.map { "\($0)" }?.hasSuffix("the key \"k500\" occurs twice") == true)
    }

    @Test("a text cut after any byte")
    func truncation() throws {
        let text = Array(#"{"a": [1, -2.5e3, true, null], "é😀": {"\u00e9\n": "x\\"}, "n": "\ud83d\ude00"}"#.utf8)
        _ = try JSON(parsing: text)
        for length in 0..<text.count {
            #expect(throws: JSONError.self, "cut after \(length)") { try JSON(parsing: Array(text[..<length])) }
        }
    }

    @Test("any byte of a text replaced by any other gives a value or a JSONError")
    func mutation() throws {
        let text = Array(#"{"a": [1, -2.5e3, true], "é": {"\ud83d\ude00": "x\\"}}"#.utf8)
        for position in text.indices {
            for byte in UInt8.min...UInt8.max {
                var mutated = text
                mutated[position] = byte
                guard let value = try? JSON(parsing: mutated) else { continue }
                #expect(try JSON(parsing: value.serialized()) == value)
            }
        }
    }

    @Test("a long number and a long name are cut in messages")
    func longNames() {
        let digits = String(repeating: "9", count: 100_000)
        let number = #expect(throws: JSONError.self) { try JSON(parsing: digits) }
        #expect((number?.description.utf8.count ?? .max) < 400)
        let key = #expect(throws: JSONError.self) { try JSON(parsing: "{\"\(digits)\":0,\"\(digits)\":0}") }
        #expect((key?.description.utf8.count ?? .max) < 400)
        let control = #expect(throws: JSONError.self) { try JSON(parsing: #"{"\u001b[31m\n":0,"\u001b[31m\n":0}"#) }
        #expect(control?.description.utf8.allSatisfy { $0 >= 0x20 } == true)
    }

    @Test("a file that is not there, and one that is a folder")
    func unreadable() {
        let missing = #expect(throws: JSONError.self) { try JSON(contentsOf: "/nowhere/config.json") }
        #expect(missing?.description == "/nowhere/config.json: cannot read: No such file or directory")
        let folder = #expect(throws: JSONError.self) { try JSON(contentsOf: "/") }
        #expect(folder?.path == "/")
    }
}
