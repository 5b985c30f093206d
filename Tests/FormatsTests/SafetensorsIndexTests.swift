import MartletFormats
import MartletTensors
import Testing

@Suite("Sharded safetensors")
struct SafetensorsIndexTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try Safetensors.write(
            [("a", Tensor([1], shape: [1])), ("b", Tensor([2], shape: [1]))], to: folder.path + "/1.safetensors")
        try Safetensors.write(
            [("c", Tensor([3], shape: [1]))], metadata: [("k", "v")], to: folder.path + "/2.safetensors")
        _ = try folder.file("broken.safetensors", [1, 2, 3])
    }

    private func open(_ index: String) throws(FormatError) -> Safetensors {
        let path = folder.path + "/model.safetensors.index.json"
        do { try writeFile(Array(index.utf8), to: path) } catch { throw FormatError(error) }
        return try Safetensors(directory: folder.path)
    }

    @Test("finds every tensor in its file")
    func opened() throws {
        let index =
            #"{"metadata": {"total_size": 1}, "weight_map": {"c": "2.safetensors", "a": "1.safetensors", "b": "1.safetensors"}}"#
        let file = try open(index)
        #expect(file.tensors.names == ["c", "a", "b"])
        #expect(try file.tensors.tensor("b").values == [2])
        #expect(file.tensors["c"]?.path.hasSuffix("/2.safetensors") == true)
        #expect(file.metadata.map(\.key) == ["k"])
        #expect(file.tensors.bytes == 12)
    }

    @Test(
        "is refused with every offence",
        arguments: [
            ("[]", ["it has no object \"weight_map\""]), (#"{"weight_map": []}"#, ["it has no object \"weight_map\""]),
            ("{", ["not valid JSON"]), (#"{"weight_map": {"a": "x", "a": "y"}}"#, ["the key \"a\" occurs twice"]),
            (
                #"{"weight_map": {"a": 1, "b": "../1.safetensors", "c": "/etc/passwd", "d": "", "e": ".."}}"#,
                ["for \"a\" an integer", "\"b\" in \"../1", "\"c\" in \"/etc", "\"d\" in \"\"", "\"e\" in \"..\""]
            ),
            (
                #"{"weight_map": {"a": "3.safetensors", "b": "broken.safetensors"}}"#,
                ["No such file", "it has 3 bytes"]
            ),
            (
                #"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors", "d": "1.safetensors"}}"#,
                [
                    "\"b\" is not in 2.safetensors", "\"d\" is not in 1.safetensors",
                    "1.safetensors holds tensor \"b\", which the index does not place there",
                ]
            ),
        ])
    func refused(index: String, words: [String]) throws {
        let error = #expect(throws: FormatError.self) { try open(index) }
        let offences = try #require(error?.offences)
        #expect(offences.count == words.count, "\(offences)")
        for (offence, words) in zip(offences, words) { #expect(offence.contains(words), "\(offence)") }
    }
}
