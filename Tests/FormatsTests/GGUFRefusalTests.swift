import MartletFormats
import MartletTensors
import Testing

/// A GGUF file put together by hand, right or wrong.
struct HandmadeGGUF: Sendable {
    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var tensorCount: UInt64?
    var pairCount: UInt64?
    var pairs: [[UInt8]] = []
    var tensors: [[UInt8]] = []
    var alignment = 32
    var dataBytes = 0

    var bytes: [UInt8] {
        var bytes = magic + little(version)
        bytes += little(tensorCount ?? UInt64(tensors.count)) + little(pairCount ?? UInt64(pairs.count))
        bytes += (pairs + tensors).joined()
        while bytes.count % alignment != 0 { bytes.append(0) }
        return bytes + [UInt8](repeating: 0, count: dataBytes)
    }

    func with(_ change: (inout HandmadeGGUF) -> Void) -> HandmadeGGUF {
        var copy = self
        change(&copy)
        return copy
    }
}

func little(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

private func text(_ string: String, length: UInt64? = nil) -> [UInt8] {
    little(length ?? UInt64(string.utf8.count)) + Array(string.utf8)
}

private func pair(_ key: String, _ kind: UInt32, _ value: [UInt8]) -> [UInt8] { text(key) + little(kind) + value }

private func array(_ kind: UInt32, _ count: UInt64, _ elements: [UInt8]) -> [UInt8] {
    little(kind) + little(count) + elements
}

private func tensor(
    _ name: String, _ extents: [Int64] = [8], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
) -> [UInt8] {
    text(name) + little(rank ?? UInt32(extents.count)) + extents.flatMap(little) + little(type) + little(offset)
}

struct BadGGUF: Sendable, CustomStringConvertible {
    let description: String
    let file: HandmadeGGUF
    /// One piece per offence that must be named, in order.
    let words: [String]

    init(_ description: String, _ words: String..., change: (inout HandmadeGGUF) -> Void) {
        (self.description, self.words) = (description, words)
        file = HandmadeGGUF().with(change)
    }
}

/// The classes that llama.cpp's own test rejects, by their names there, and more.
@Suite("Refused GGUF files")
struct GGUFRefusalTests {
    private static let kinds: [(UInt32, [UInt8])] = [
        (0, [1]), (1, [1]), (2, [1, 0]), (3, [1, 0]), (4, little(UInt32(1))), (5, little(UInt32(1))),
        (6, little(UInt32(1))), (7, [1]),
        (8, text("x")), (9, array(4, 1, little(UInt32(1)))), (10, little(UInt64(1))), (11, little(UInt64(1))),
        (12, little(UInt64(1))),
    ]

    private static let headers: [BadGGUF] = [
        BadGGUF("HEADER_BAD_MAGIC", "does not begin with the letters GGUF") { $0.magic = Array("FUGG".utf8) },
        BadGGUF("HEADER_BAD_VERSION_1", "its version is 1") { $0.version = 1 },
        BadGGUF("HEADER_BAD_VERSION_FUTURE", "its version is 4") { $0.version = 4 },
        BadGGUF("version 0", "its version is 0") { $0.version = 0 },
        BadGGUF("big-endian", "it is big-endian") { $0.version = 3 << 24 },
        BadGGUF("HEADER_BAD_N_TENSORS", "it claims 18446744073709551615 tensors") { $0.tensorCount = .max },
        BadGGUF("HEADER_BAD_N_KV", "it claims 18446744073709551615 metadata values") { $0.pairCount = .max },
        BadGGUF("more tensors than bytes", "it claims 2 tensors") { $0.tensorCount = 2 },
    ]

    private static let pairs: [BadGGUF] = [
        BadGGUF("KV_BAD_KEY_SIZE", "it ends inside a metadata key") {
            $0.pairs = [text("key", length: .max) + little(UInt32(0)) + [1]]
        },
        BadGGUF("a key of 2^60", "it ends inside a metadata key") {
            $0.pairs = [text("key", length: 1 << 60) + little(UInt32(0)) + [1]]
        },
        BadGGUF("KV_BAD_TYPE", "\"k\" is of the unknown kind 13") { $0.pairs = [pair("k", 13, [1])] },
        BadGGUF("an array of KV_BAD_TYPE", "\"k\" is of the unknown kind 13") {
            $0.pairs = [pair("k", 9, array(13, 0, []))]
        },
        BadGGUF("KV_DUPLICATE_KEY", "the metadata key \"k\" occurs twice") {
            $0.pairs = [pair("k", 0, [1]), pair("k", 0, [1])]
        },
        BadGGUF(
            "KV_BAD_ALIGN", "general.alignment must be",
            change: { $0.pairs = [pair("general.alignment", 4, little(UInt32(13)))] }),
        BadGGUF("an alignment of 0", "general.alignment must be") {
            $0.pairs = [pair("general.alignment", 4, little(UInt32(0)))]
        },
        BadGGUF("an alignment of 0x80000000", "general.alignment must be") {
            $0.pairs = [pair("general.alignment", 4, little(UInt32(1 << 31)))]
        },
        BadGGUF("an alignment of another kind", "general.alignment must be") {
            $0.pairs = [pair("general.alignment", 10, little(UInt64(32)))]
        },
        BadGGUF("a string of 2^60", "it ends inside the value of \"k\"") {
            $0.pairs = [pair("k", 8, text("x", length: 1 << 60))]
        },
        BadGGUF("an array of arrays", "\"k\" is an array of arrays") {
            $0.pairs = [pair("k", 9, array(9, 1, array(0, 1, [1])))]
        },
        BadGGUF("2^60 elements", "it claims 1152921504606846976 elements of \"k\"") {
            $0.pairs = [pair("k", 9, array(6, 1 << 60, []))]
        },
        BadGGUF("2^63 strings", "it claims 9223372036854775808 elements of \"k\"") {
            $0.pairs = [pair("k", 9, array(8, 1 << 63, []))]
        },
        BadGGUF("a string of 2^64 - 1 in an array", "it ends inside the strings of \"k\"") {
            $0.pairs = [pair("k", 9, array(8, 2, text("a") + text("b", length: .max)))]
        },
        BadGGUF("a bool of 2", "\"k\" is a bool of value 2") { $0.pairs = [pair("k", 7, [2])] },
        BadGGUF(
            "a key that is not UTF-8", "a metadata key before byte",
            change: { $0.pairs = [little(UInt64(1)) + [0xFF] + little(UInt32(0)) + [1]] }),
    ]

    private static let tensors: [BadGGUF] = [
        BadGGUF("TENSORS_BAD_NAME_SIZE", "has 64 bytes; at most 63") {
            $0.tensors = [tensor(String(repeating: "n", count: 64))]
            $0.dataBytes = 32
        },
        BadGGUF("TENSORS_BAD_N_DIMS", "tensor \"t\" has 5 extents") { $0.tensors = [tensor("t", [1, 1, 1, 1, 1])] },
        BadGGUF("2^32 - 1 extents", "tensor \"t\" has 4294967295 extents") { $0.tensors = [tensor("t", rank: .max)] },
        BadGGUF("TENSORS_BAD_SHAPE", "tensor \"t\": [-1] elements of F32") { $0.tensors = [tensor("t", [-1])] },
        BadGGUF("TENSORS_NE_TOO_BIG", "no whole blocks that can be") {
            $0.tensors = [tensor("t", [1 << 33, 1 << 33])]
        },
        BadGGUF("bytes past Int", "no whole blocks that can be") { $0.tensors = [tensor("t", [1 << 62])] },
        BadGGUF("TENSORS_BAD_TYPE", "tensor \"t\" is of the unknown type 1000") {
            $0.tensors = [tensor("t", type: 1000)]
        },
        BadGGUF("a retired type", "tensor \"t\" is of the unknown type 4") { $0.tensors = [tensor("t", type: 4)] },
        BadGGUF("half a block", "[16] elements of Q8_0 are no whole blocks") {
            $0.tensors = [tensor("t", [16], type: 8)]
        },
        BadGGUF("rows of half a block", "[2, 16] elements of Q4_0 are no whole blocks") {
            $0.tensors = [tensor("t", [16, 2], type: 2)]
        },
        BadGGUF("TENSORS_BAD_OFFSET", "is at byte 18446744073709551615 of the data, it should be at 0") {
            $0.tensors = [tensor("t", offset: .max)]
            $0.dataBytes = 32
        },
        BadGGUF("an overlap", "tensor \"u\" is at byte 0 of the data, it should be at 32") {
            $0.tensors = [tensor("t"), tensor("u")]
            $0.dataBytes = 64
        },
        BadGGUF("a hole", "tensor \"u\" is at byte 64 of the data, it should be at 32") {
            $0.tensors = [tensor("t"), tensor("u", offset: 64)]
            $0.dataBytes = 96
        },
        BadGGUF("TENSORS_DUPLICATE_NAME", "tensor \"t\" is described twice") {
            $0.tensors = [tensor("t"), tensor("t", offset: 32)]
            $0.dataBytes = 64
        },
        BadGGUF("TENSORS_BAD_ALIGN", "general.alignment must be") {
            $0.pairs = [pair("general.alignment", 4, little(UInt32(13)))]
            $0.tensors = [tensor("t")]
            $0.dataBytes = 32
        },
        BadGGUF("TENSORS_INCONSISTENT_ALIGN", "tensor \"u\" is at byte 4 of the data, it should be at 32") {
            $0.tensors = [tensor("t", [1]), tensor("u", [1], offset: 4)]
            $0.dataBytes = 64
        },
        BadGGUF("several at once", "unknown type 99", "\"u\" is described twice", "[-2] elements") {
            $0.tensors = [tensor("t", type: 99), tensor("u"), tensor("u"), tensor("v", [-2])]
        },
    ]

    private static let data: [BadGGUF] = [
        BadGGUF("DATA_NOT_ENOUGH_DATA", "tensor \"t\" takes 4 bytes from byte 0 of the data on, which has only 31") {
            $0.tensors = [tensor("t", [1])]
            $0.dataBytes = 31
        },
        BadGGUF("no data", "takes 32 bytes from byte 0 of the data on, which has only 0") {
            $0.tensors = [tensor("t")]
        },
        BadGGUF("declared larger than the file", "takes 4611686018427387904 bytes") {
            $0.tensors = [tensor("t", [1 << 60])]
        },
        BadGGUF("padding past Int", "takes 9223372036854775800 bytes") {
            $0.tensors = [tensor("t", [9_223_372_036_854_775_800], type: 24)]
        },
        BadGGUF("sizes that add up past Int", "\"t\" takes 9223372036854775776") {
            $0.tensors = [
                tensor("t", [9_223_372_036_854_775_776], type: 24),
                tensor("u", [64], offset: 9_223_372_036_854_775_776),
            ]
        },
        BadGGUF("an alignment that leaves no data", "the data would begin past its end") {
            $0.pairs = [pair("general.alignment", 4, little(UInt32(4096)))]
            $0.tensors = [tensor("t", [0])]
        },
    ]

    @Test("each with every offence in words", arguments: headers + pairs + tensors + data)
    func refused(bad: BadGGUF) throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("bad.gguf", bad.file.bytes)
        let error = #expect(throws: FormatError.self) { try GGUF(contentsOf: path) }
        let offences = try #require(error?.offences)
        #expect(error?.path == path)
        #expect(offences.count == bad.words.count, "\(offences)")
        for (offence, words) in zip(offences, bad.words) { #expect(offence.contains(words), "\(offence)") }
    }

    @Test("every kind of value is read, in versions 2 and 3", arguments: [2, 3] as [UInt32])
    func allowed(version: UInt32) throws {
        let folder = try TemporaryFolder()
        let file = HandmadeGGUF().with {
            $0.version = version
            $0.pairs =
                Self.kinds.map { pair("k\($0.0)", $0.0, $0.1) }
                + [
                    pair("raw", 8, little(UInt64(2)) + [0xFF, 0xFE]),
                    pair("raws", 9, array(8, 1, little(UInt64(1)) + [0xFF])),
                ]
            $0.tensors = [tensor("t", [2, 3]), tensor("", [1], offset: 32)]
            $0.dataBytes = 64
        }
        let read = try GGUF(contentsOf: try folder.file("good.gguf", file.bytes))
        #expect(read.version == Int(version))
        #expect(read.metadata.entries.count == 15)
        #expect(try read.tensors.tensor("t").shape == [3, 2])
        #expect(try read.tensors.tensor("").values == [0])
        #expect(throws: FormatError.self) { try read.metadata.string("raw") }
        #expect(throws: FormatError.self) { try read.metadata.strings("raws") }
        #expect(try read.metadata.byteStrings("raws") == [[0xFF]])
    }

    @Test("an empty file of the format, and one aligned to a byte")
    func smallest() throws {
        let folder = try TemporaryFolder()
        #expect(try GGUF(contentsOf: try folder.file("a", HandmadeGGUF().bytes)).tensors.count == 0)
        let byte = HandmadeGGUF().with {
            $0.pairs = [pair("general.alignment", 4, little(UInt32(1)))]
            $0.alignment = 1
            $0.tensors = [tensor("t", [3], type: 24), tensor("u", [1], offset: 3)]
            $0.dataBytes = 7
        }
        let read = try GGUF(contentsOf: try folder.file("b", byte.bytes))
        #expect(read.alignment == 1)
        #expect(try read.tensors.tensor("u").values == [0])
    }

    @Test("bytes after the last tensor are allowed, as in llama.cpp")
    func trailing() throws {
        let folder = try TemporaryFolder()
        let file = HandmadeGGUF().with {
            $0.tensors = [tensor("t")]
            $0.dataBytes = 33
        }
        #expect(try GGUF(contentsOf: try folder.file("t", file.bytes)).tensors.count == 1)
    }
}
