import MartletFormats
import MartletTensors
import Testing

/// The header's length, the header, and `data` zero bytes.
private func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let length = length ?? UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8)
        + [UInt8](repeating: 0, count: data)
}

private func tensor(_ shape: String, _ begin: String, _ end: String, dtype: String = "\"F32\"") -> String {
    "{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

struct BadFile: Sendable, CustomStringConvertible {
    let description: String
    let bytes: [UInt8]
    /// One piece per offence that must be named, in order.
    let words: [String]

    init(_ description: String, _ bytes: [UInt8], _ words: String...) {
        (self.description, self.bytes, self.words) = (description, bytes, words)
    }
}

@Suite("Refused safetensors files")
struct SafetensorsRefusalTests {
    private static let one = tensor("[1]", "0", "4")

    private static let containers: [BadFile] = [
        BadFile("empty", [], "it has 0 bytes"),
        BadFile("seven bytes", [2, 0, 0, 0, 0, 0, 0], "it has 7 bytes"),
        BadFile(
            "a length and no header", [2, 0, 0, 0, 0, 0, 0, 0], "its header would take 2 bytes, but only 0 follow"),
        BadFile("a length of zero", file(""), "does not begin with '{'"),
        BadFile("a header past the end", file("{}", length: 3), "its header would take 3 bytes, but only 2 follow"),
        BadFile("a header of 100,000,001 bytes", file("{}", length: 100_000_001), "at most 100000000"),
        BadFile("a length of 2^63", file("{}", length: 1 << 63), "at most 100000000"),
        BadFile("a length of 2^64 - 1", file("{}", length: .max), "at most 100000000"),
        BadFile("a blank first", file(" {}"), "does not begin with '{'"),
        BadFile("a list", file("[]"), "does not begin with '{'"),
        BadFile("bytes after a header without tensors", file("{}", data: 1), "1 bytes follow the last tensor"),
        BadFile("a cut header", file("{\"a\":"), "the header is not valid JSON"),
        BadFile("two values", file("{}{}"), "the header is not valid JSON"),
        BadFile("a zero byte after the header", file("{}\0"), "the header is not valid JSON"),
        BadFile(
            "not UTF-8", [7, 0, 0, 0, 0, 0, 0, 0] + Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8),
            "is not valid UTF-8"),
        BadFile("deep JSON", file("{\"a\":" + String(repeating: "[", count: 100_000)), "nested deeper than 512"),
        BadFile("1e400", file("{\"a\":{\"shape\":[1e400]}}"), "1e400 is not a finite number"),
    ]

    private static let descriptions: [BadFile] = [
        BadFile(
            "a tensor twice", file("{\"a\":\(one),\"a\":\(tensor("[1]", "4", "8"))}", data: 8),
            "\"a\" occurs twice in the header"),
        BadFile("no object", file("{\"a\":3}"), "tensor \"a\" is not described by an object"),
        BadFile("a list of objects", file("{\"a\":[{\"b\":1}]}"), "tensor \"a\" is not described by an object"),
        BadFile("no fields", file("{\"a\":{}}"), "has no dtype", "has no shape", "has no data_offsets"),
        BadFile("no dtype", file("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", data: 4), "has no dtype"),
        BadFile(
            "a field too many",
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":{\"y\":[1]}}}", data: 4),
            "has the unknown field \"x\""),
        BadFile(
            "a field twice",
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", data: 4),
            "has twice \"shape\""),
        BadFile(
            "an unknown dtype", file("{\"a\":\(tensor("[1]", "0", "4", dtype: "\"f32\""))}", data: 4),
            "unknown dtype \"f32\""),
        BadFile(
            "a dtype that is a number", file("{\"a\":\(tensor("[1]", "0", "4", dtype: "1"))}", data: 4),
            "dtype that is not a string"),
        BadFile(
            "a dtype that is an object", file("{\"a\":\(tensor("[1]", "0", "4", dtype: "{\"x\":[]}"))}", data: 4),
            "dtype that is not a string"),
        BadFile(
            "a negative extent", file("{\"a\":\(tensor("[-1]", "0", "4"))}", data: 4),
            "shape holds something else than integers"),
        BadFile(
            "a fractional extent", file("{\"a\":\(tensor("[1.0]", "0", "4"))}", data: 4),
            "shape holds something else than integers"),
        BadFile(
            "an extent of 2^63", file("{\"a\":\(tensor("[9223372036854775808]", "0", "4"))}", data: 4),
            "shape holds something else than integers"),
        BadFile(
            "an extent in an extent", file("{\"a\":\(tensor("[[1]]", "0", "4"))}", data: 4),
            "shape holds something else than integers"),
        BadFile(
            "an object as extent", file("{\"a\":\(tensor("[{\"x\":[1]},2]", "0", "4"))}", data: 4),
            "shape holds something else than integers"),
        BadFile("a shape that is a number", file("{\"a\":\(tensor("1", "0", "4"))}", data: 4), "shape is not a list"),
        BadFile("a shape that is null", file("{\"a\":\(tensor("null", "0", "4"))}", data: 4), "shape is not a list"),
        BadFile(
            "65 extents", file("{\"a\":\(tensor("[1" + String(repeating: ",1", count: 64) + "]", "0", "4"))}", data: 4),
            "shape has more than 64 entries"),
        BadFile(
            "elements past Int", file("{\"a\":\(tensor("[4611686018427387904,4]", "0", "4"))}", data: 4),
            "no whole number of bytes that can be"),
        BadFile(
            "bytes past Int", file("{\"a\":\(tensor("[4611686018427387904]", "0", "4"))}", data: 4),
            "no whole number of bytes that can be"),
        BadFile(
            "an overflow that a zero would hide", file("{\"a\":\(tensor("[4611686018427387904,4,0]", "0", "0"))}"),
            "no whole number of bytes that can be"),
        BadFile(
            "three F4 elements", file("{\"a\":\(tensor("[3]", "0", "2", dtype: "\"F4\""))}", data: 2),
            "no whole number of bytes that can be"),
        BadFile(
            "two F6 elements", file("{\"a\":\(tensor("[2]", "0", "2", dtype: "\"F6_E2M3\""))}", data: 2),
            "no whole number of bytes that can be"),
        BadFile(
            "one offset", file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", data: 4),
            "has 1 data_offsets instead of 2"),
        BadFile(
            "three offsets", file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", data: 4),
            "data_offsets has more than 2 entries"),
        BadFile(
            "a negative offset", file("{\"a\":\(tensor("[1]", "-4", "0"))}", data: 4),
            "data_offsets holds something else"),
        BadFile(
            "an end before its begin", file("{\"a\":\(tensor("[1]", "4", "0"))}", data: 4),
            "ends at byte 0, before its begin 4"),
        BadFile(
            "too few bytes for the shape", file("{\"a\":\(tensor("[2]", "0", "4"))}", data: 4),
            "take 8 bytes, its offsets say 4"),
        BadFile(
            "too many bytes for the shape", file("{\"a\":\(tensor("[]", "0", "8"))}", data: 8),
            "take 4 bytes, its offsets say 8"),
        BadFile(
            "an offset of 2^63 - 1",
            file("{\"a\":\(tensor("[1]", "9223372036854775803", "9223372036854775807"))}", data: 4), "belong to none",
            "but the file holds only 4"),
    ]

    private static let layouts: [BadFile] = [
        BadFile(
            "a hole first", file("{\"a\":\(tensor("[1]", "4", "8"))}", data: 8),
            "the 4 bytes before tensor \"a\" belong to none"),
        BadFile(
            "a hole between", file("{\"a\":\(one),\"b\":\(tensor("[1]", "8", "12"))}", data: 12),
            "the 4 bytes before tensor \"b\" belong to none"),
        BadFile(
            "an overlap", file("{\"a\":\(one),\"b\":\(tensor("[1]", "2", "6"))}", data: 6),
            "tensor \"b\" begins at byte 2 of the data, inside"),
        BadFile(
            "one place for two", file("{\"a\":\(one),\"b\":\(one)}", data: 4),
            "tensor \"b\" begins at byte 0 of the data, inside"),
        BadFile(
            "a tensor inside another",
            file("{\"a\":\(tensor("[3]", "0", "12")),\"b\":\(tensor("[1]", "4", "8"))}", data: 12),
            "tensor \"b\" begins at byte 4 of the data, inside"),
        BadFile("trailing bytes", file("{\"a\":\(one)}", data: 5), "1 bytes follow the last tensor"),
        BadFile(
            "missing bytes", file("{\"a\":\(one)}", data: 3), "the tensors take 4 bytes, but the file holds only 3"),
        BadFile(
            "an empty tensor past the data", file("{\"a\":\(tensor("[0]", "4", "4"))}"), "belong to none",
            "the file holds only 0"),
    ]

    private static let metadata: [BadFile] = [
        BadFile("metadata that is a list", file("{\"__metadata__\":[{\"a\":\"b\"}]}"), "__metadata__ is not an object"),
        BadFile("metadata that is null", file("{\"__metadata__\":null}"), "__metadata__ is not an object"),
        BadFile(
            "a number in the metadata", file("{\"__metadata__\":{\"a\":1,\"b\":{\"c\":[]}}}"),
            "for \"a\" something that is not a string", "for \"b\" something"),
        BadFile(
            "a metadata key twice", file("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"),
            "__metadata__ has the key \"a\" twice"),
        BadFile("metadata twice", file("{\"__metadata__\":{},\"__metadata__\":{}}"), "\"__metadata__\" occurs twice"),
        BadFile(
            "metadata in the shape of a tensor", file("{\"__metadata__\":\(one)}", data: 4), "for \"shape\" something",
            "for \"data_offsets\" something"),
    ]

    @Test("each with every offence in words", arguments: containers + descriptions + layouts + metadata)
    func refused(bad: BadFile) throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("bad.safetensors", bad.bytes)
        let error = #expect(throws: FormatError.self) { try Safetensors(contentsOf: path) }
        let offences = try #require(error?.offences)
        #expect(error?.path == path)
        #expect(offences.count == bad.words.count, "\(offences)")
        for (offence, words) in zip(offences, bad.words) { #expect(offence.contains(words), "\(offence)") }
    }

    @Test("there are at least 40 of them")
    func count() {
        #expect(Self.containers.count + Self.descriptions.count + Self.layouts.count + Self.metadata.count >= 40)
    }

    @Test("all offences of a file stand in one error, the first twenty in words")
    func allOffences() throws {
        let folder = try TemporaryFolder()
        let three = "{\"a\":3,\"b\":\(tensor("[-1]", "0", "4")),\"c\":\(tensor("[1]", "0", "4", dtype: "\"X\""))}"
        let few = #expect(throws: FormatError.self) { try Safetensors(contentsOf: try folder.file("few", file(three))) }
        #expect(few?.offences.count == 3)
        #expect(few?.omitted == 0)
        let hundred = "{" + (0..<100).map { "\"t\($0)\":0" }.joined(separator: ",") + "}"
        let many = #expect(throws: FormatError.self) {
            try Safetensors(contentsOf: try folder.file("many", file(hundred)))
        }
        #expect(many?.offences.count == FormatError.maximumOffences)
        #expect(many?.omitted == 80)
        #expect(many?.description.contains("; and 80 more") == true)
    }

    @Test("names cannot bring control characters into a message")
    func hostileName() throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("x", file("{\"\\u001b[31m\\n\":0}"))
        let error = #expect(throws: FormatError.self) { try Safetensors(contentsOf: path) }
        #expect(error?.description.utf8.allSatisfy { $0 >= 0x20 } == true)
    }

    @Test(
        "what the format allows is read",
        arguments: [
            file("{}"), file("{}     "), file("{\"__metadata__\":{}}"), file("{\"\":\(one)}", data: 4),
            file("{\"a\":\(tensor("[0,5]", "0", "0"))}"),
            file("{\"z\":\(tensor("[]", "4", "8")),\"a\":\(one)}", data: 8),
            file("{\"a\":\(tensor("[2]", "0", "1", dtype: "\"F4\""))}", data: 1),
            file("{\"a\":\(tensor("[0]", "0", "0")),\"b\":\(one),\"c\":\(tensor("[0]", "4", "4"))}", data: 4),
        ])
    func allowed(bytes: [UInt8]) throws {
        let folder = try TemporaryFolder()
        _ = try Safetensors(contentsOf: try folder.file("ok.safetensors", bytes))
    }

    @Test("elements at an odd address are copied to an even one")
    func misaligned() throws {
        let folder = try TemporaryFolder()
        var bytes = file(
            "{\"u\":\(tensor("[1]", "0", "1", dtype: "\"U8\"")),\"a\":\(tensor("[2]", "1", "9"))}", data: 9)
        bytes[bytes.count - 1] = 0x40
        bytes[bytes.count - 5] = 0x3F
        bytes[bytes.count - 6] = 0x80
        let stored = try #require(try Safetensors(contentsOf: try folder.file("odd", bytes)).tensors["a"])
        let tensor = try stored.tensor()
        #expect(tensor.storage !== stored.storage)
        #expect(tensor.values == [1, 2])
    }

    @Test("a file that is written again, replaced or removed after it was opened is noticed")
    func changed() throws {
        let folder = try TemporaryFolder()
        let bytes = file("{\"a\":\(Self.one)}", data: 4)
        for name in ["longer", "replaced", "removed"] {
            let path = try folder.file(name, bytes)
            let opened = try Safetensors(contentsOf: path)
            try opened.tensors.checkUnchanged()
            switch name {
            case "longer": _ = try folder.append(name, [0])
            case "replaced": _ = try folder.file(name, bytes)
            default: folder.remove(name)
            }
            #expect(throws: FormatError.self, "\(name)") { try opened.tensors.checkUnchanged() }
            #expect(try opened.tensors.tensor("a").values == [0], "what was mapped stays")
        }
    }

    @Test("a file of another kind, a folder, and none")
    func otherFiles() throws {
        for path in ["/", "/nowhere/model.safetensors", fixtures + "formats/reference.gguf"] {
            let error = #expect(throws: FormatError.self) { try Safetensors(contentsOf: path) }
            #expect(error?.path == path)
        }
        let error = #expect(throws: FormatError.self) { try Safetensors(directory: fixtures) }
        #expect(error?.problem == "no weights")
    }
}
