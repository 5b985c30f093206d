import Foundation
import MartletJSON
import MartletTokenizers
import Testing

/// Every stage of `tokenizer.json` over hard texts, against Hugging Face tokenizers
/// (`Tools/fixtures/text_pipelines.py`).
struct PipelineTests {
    static let fixture: JSON? = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return try? JSON(contentsOf: folder.appendingPathComponent("Fixtures/tokenizers/pipelines.json").path)
    }()

    static let stageNames = (fixture?["stages"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    static let tokenizerNames = (fixture?["tokenizers"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }

    private func find(_ list: String, _ name: String) throws -> JSON {
        let cases = try #require(PipelineTests.fixture?[list]?.arrayValue)
        return try #require(cases.first { $0["name"]?.stringValue == name })
    }

    private var texts: [String] { PipelineTests.fixture?["texts"]?.strings ?? [] }

    @Test func fixtureIsThere() {
        #expect(PipelineTests.stageNames.count == 35)
        #expect(PipelineTests.tokenizerNames.count == 12)
    }

    /// The pieces that the first two stages make of a text, seen through a model that spells everything in bytes.
    @Test(arguments: stageNames)
    func wordsAndTheirOrigins(_ name: String) throws {
        let stage = try find("stages", name)
        var description = try #require(PipelineTests.fixture?["characters"]?.objectValue)
        description["normalizer"] = stage["normalizer"]
        description["pre_tokenizer"] = stage["pre_tokenizer"]
        let tokenizer = try Tokenizer(json: .object(description))
        for (text, expected) in zip(texts, try #require(stage["words"]?.arrayValue)) {
            let encoding = try tokenizer.encoding(of: text)
            #expect(try encoding.ids == tokenizer.encode(text), "\(name): \(text.debugDescription)")
            var words: [(ids: [Int32], start: Int, end: Int)] = []
            for index in encoding.ids.indices {
                if index > 0, encoding.words[index] == encoding.words[index - 1] {
                    words[words.count - 1].ids.append(encoding.ids[index])
                    words[words.count - 1].end = encoding.offsets[index].end
                } else {
                    words.append(([encoding.ids[index]], encoding.offsets[index].start, encoding.offsets[index].end))
                }
            }
            let got = try words.map { word -> JSON in
                [.string(try tokenizer.decode(word.ids)), .integer(word.start), .integer(word.end)]
            }
            #expect(JSON.array(got) == expected, "\(name): \(text.debugDescription)")
        }
    }

    @Test(arguments: tokenizerNames)
    func idsOffsetsAndTexts(_ name: String) throws {
        let description = try find("tokenizers", name)
        let tokenizer = try Tokenizer(json: try #require(description["tokenizer"]))
        for (text, expected) in zip(texts, try #require(description["encodings"]?.arrayValue)) {
            let encoding = try tokenizer.encoding(of: text)
            #expect(encoding.ids == expected["ids"]?.ids, "\(name): \(text.debugDescription)")
            #expect(try tokenizer.encode(text) == encoding.ids, "\(name): \(text.debugDescription)")
            let offsets = encoding.offsets.flatMap { [Int32($0.start), Int32($0.end)] }
            #expect(offsets == expected["offsets"]?.ids, "\(name): \(text.debugDescription)")
            let decoded = try tokenizer.decode(encoding.ids, skipSpecialTokens: false)
            #expect(
                decoded.utf8.elementsEqual((expected["text"]?.stringValue ?? "?").utf8),
                "\(name): \(decoded.debugDescription)")
        }
        let pair = try tokenizer.encoding(of: texts[0], pair: texts[4])
        #expect(pair.ids == description["pair"]?["ids"]?.ids, "\(name)")
        #expect(pair.typeIDs == description["pair"]?["types"]?.ids, "\(name)")
    }

    /// A long word goes through windows; its halves around any blank go alone, and say the same.
    @Test func longWordsAreMergedAsShortOnes() throws {
        let tokenizer = try Tokenizer(json: try #require(find("tokenizers", "gpt2")["tokenizer"]))
        var random = SeededRandom(seed: 21)
        for alphabet in ["the", "thequickbrownfox", "a", "żółć今"] {
            let letters = Array(alphabet)
            let word = String((0..<6000).map { _ in letters[random.below(letters.count)] })
            let ids = try tokenizer.encode(word)
            #expect(try tokenizer.decode(ids).utf8.elementsEqual(word.utf8))
            // A word of less than a window, cut where two tokens meet, has the tokens of the whole.
            let cut = try tokenizer.decode(Array(ids.prefix(300)))
            #expect(try tokenizer.encode(cut).prefix(290) == ids.prefix(290), "\(alphabet)")
        }
    }

    @Test func batchesAreTheirTexts() throws {
        let tokenizer = try Tokenizer(json: try #require(find("tokenizers", "wordpiece")["tokenizer"]))
        let alone = try texts.map { try tokenizer.encode($0) }
        for threads in [1, 2, 5] { #expect(try tokenizer.encode(batch: texts, threads: threads) == alone) }
        #expect(try tokenizer.encode(batch: []).isEmpty)
    }

    /// A file written back reads as the same tokenizer.
    @Test(arguments: tokenizerNames)
    func writtenBackItIsTheSame(_ name: String) throws {
        let tokenizer = try Tokenizer(json: try #require(find("tokenizers", name)["tokenizer"]))
        let again = try Tokenizer(json: tokenizer.json().serialized())
        #expect(try tokenizer.json() == again.json())
        for text in texts { #expect(try tokenizer.encode(text) == again.encode(text)) }
    }

    /// A stream says what decoding the whole says, never half a character, whatever the ids.
    @Test(arguments: tokenizerNames)
    func streamsEqualWholes(_ name: String) throws {
        let tokenizer = try Tokenizer(json: try #require(find("tokenizers", name)["tokenizer"]))
        var random = SeededRandom(seed: 3)
        for _ in 0..<200 {
            let ids = (0..<random.below(30)).map { _ in Int32(random.below(tokenizer.vocabularySize)) }
                .filter { tokenizer.token($0) != nil }
            var stream = TextStream(tokenizer, skipSpecialTokens: false)
            var text = ""
            for id in ids { text += try stream.append(id) }
            text += stream.finish()
            #expect(
                text.utf8.elementsEqual(try tokenizer.decode(ids, skipSpecialTokens: false).utf8), "\(name): \(ids)")
        }
    }

    /// Changed files give a typed error or a tokenizer that works.
    @Test(arguments: ["llama3", "wordpiece", "unigram of whole lines", "added", "subword marks"])
    func mutatedFilesNeverTrap(_ name: String) throws {
        let source = try #require(find("tokenizers", name)["tokenizer"]).serialized()
        var random = SeededRandom(seed: 11)
        var loaded = 0
        for _ in 0..<300 {
            let bytes = random.mutated(source)
            guard let tokenizer = try? Tokenizer(json: bytes) else { continue }
            loaded += 1
            for text in texts.prefix(8) { _ = try? tokenizer.encode(text) }
            _ = try? tokenizer.decode([0, 1, 5, 9], skipSpecialTokens: false)
        }
        #expect(loaded > 0)
    }
}

/// A small generator with a seed of its own.
struct SeededRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(4) {
            let at = below(bytes.count)
            switch below(5) {
            case 0: bytes[at] = UInt8(below(256))
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(bytes[below(bytes.count)], at: at)
            case 3: bytes[at] = Array("0123456789-\"{}[]:,".utf8)[below(18)]
            default: bytes.removeSubrange(at..<min(at + below(12), bytes.count))
            }
        }
        return bytes
    }
}
