import MartletPlatform

/// The files that tests read.
package enum Fixtures {
    /// Tests/Fixtures of this package.
    package static let folder = parent(parent(#filePath)) + "/Fixtures"

    /// A tokenizer.json of GPT-2's kind: the space in front of a word begins its first token, and offsets keep it.
    package static let spacesBeforeWords = Array(
        """
        {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
         "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
         "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
         "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
          "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
          "vocab": {"!": 0, "#": 1, "$": 2, "%": 3, "E": 4, "U": 5, "Ġ": 6, "r": 7, "e": 8, "Ġr": 9},
          "merges": [["Ġ", "r"]]}}
        """.utf8)

    /// Real models and data, which are not part of the package: `MARTLET_DATA`, or `shared/data` beside it. Nil where
    /// there are none.
    package static let data: String? = {
        let named = unsafe getenv("MARTLET_DATA").map { unsafe String(cString: $0) }
        let path = named ?? parent(parent(parent(parent(#filePath)))) + "/shared/data"
        return unsafe access(path + "/INDEX.md", F_OK) == 0 ? path : nil
    }()

    /// The names in a folder, sorted.
    package static func entries(_ folder: String) -> [String] {
        guard let directory = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// A path for a file that this process alone uses.
    package static func temporaryFile(_ name: String) -> String {
        "/tmp/martlet-\(getpid())-\(UInt64.random(in: 0 ... .max))-\(name)"
    }

    /// The bytes of a file; none where it cannot be read.
    package static func bytes(_ path: String) -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { return [] }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }

    /// The lines of a text file; none where it cannot be read.
    package static func lines(_ path: String) -> [String] {
        bytes(path).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    private static func parent(_ path: String) -> String {
        path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    }
}
