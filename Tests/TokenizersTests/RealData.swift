import Foundation
import MartletFormats
import MartletJSON
import MartletTokenizers
import Testing

/// The real vocabularies and texts, where they are present: the folder that MARTLET_DATA names, or `../shared/data`.
enum RealData {
    static let folder: String? = {
        let candidates = [ProcessInfo.processInfo.environment["MARTLET_DATA"], "../shared/data", "../../shared/data"]
        return candidates.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0 + "/tokenizers") }
    }()

    static var isPresent: Bool { folder != nil }

    /// The bytes of a file, unpacked where only its `.gz` is there.
    static func bytes(_ path: String) throws -> [UInt8] {
        let full = try #require(folder) + "/" + path
        if let data = FileManager.default.contents(atPath: full) { return Array(data) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", full + ".gz"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "cannot read \(full)")
        return Array(data)
    }

    static func text(_ path: String) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

    static func json(_ path: String) throws -> JSON { try JSON(parsing: try bytes(path)) }

    /// A GGUF file's vocabulary; the file is unpacked into a temporary place first.
    static func gguf(_ path: String) throws -> GGUFVocabulary {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".gguf")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(try bytes(path)).write(to: file)
        return try vocabulary(of: GGUF(contentsOf: file.path).metadata)
    }

    static func vocabulary(of metadata: GGUFMetadata) throws -> GGUFVocabulary {
        let prefix = "tokenizer.ggml."
        func id(_ name: String) throws -> Int32? {
            try metadata.integer("\(prefix)\(name)_token_id").map { Int32(truncatingIfNeeded: $0) }
        }
        var file = GGUFVocabulary(
            model: try metadata.string(prefix + "model") ?? "", pre: try metadata.string(prefix + "pre"),
            tokens: ByteStrings(try metadata.byteStrings(prefix + "tokens") ?? []))
        file.scores = try metadata.floats(prefix + "scores") ?? []
        file.types = try (metadata.integers(prefix + "token_type") ?? []).map { Int32(truncatingIfNeeded: $0) }
        file.merges = ByteStrings(try metadata.byteStrings(prefix + "merges") ?? [])
        file.beginningID = try id("bos")
        file.endID = try id("eos")
        file.unknownID = try id("unknown")
        file.separatorID = try id("seperator")
        file.paddingID = try id("padding")
        file.classifierID = try id("cls")
        file.maskID = try id("mask")
        file.addsBeginning = try metadata.bool(prefix + "add_bos_token")
        file.addsEnd = try metadata.bool(prefix + "add_eos_token")
        file.addsSpacePrefix = try metadata.bool(prefix + "add_space_prefix")
        return file
    }
}

extension JSON {
    var ids: [Int32] { (arrayValue ?? []).compactMap { $0.integerValue.map(Int32.init) } }
    var strings: [String] { (arrayValue ?? []).compactMap(\.stringValue) }
}
