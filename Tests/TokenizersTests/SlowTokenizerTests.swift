import MartletJSON
import MartletTokenizers
import TestSupport
import Testing

/// Tokenizers in the files that they were saved in before `tokenizer.json`, against transformers' ids.
@Suite struct SlowTokenizerTests {
    static let folder = Fixtures.folder + "/tokenizers/slow"
    static let names = Fixtures.entries(folder)

    @Test func thereAreClasses() { #expect(Self.names.count >= 19) }

    @Test(arguments: names) func idsAreTheReferences(name: String) throws {
        let tokenizer = try Tokenizer(path: Self.folder + "/" + name)
        let cases = try JSON(contentsOf: "\(Self.folder)/\(name)/expected.json").arrayValue ?? []
        #expect(cases.count == 11)
        for entry in cases {
            let texts = entry["texts"]?.arrayValue?.compactMap(\.stringValue) ?? []
            let found = try tokenizer.encoding(of: texts[0], pair: texts.count > 1 ? texts[1] : nil)
            #expect(found.ids.map { Int($0) } == entry["ids"]?.arrayValue?.compactMap(\.integerValue), "\(texts)")
            let segments = entry["segments"]?.arrayValue?.compactMap(\.integerValue)
            #expect(found.typeIDs.map { Int($0) } == segments, "\(texts)")
        }
    }

    /// A class that nobody knows leaves the vocabulary as its file says.
    @Test func otherClassesAreReadAsBefore() throws {
        #expect(try SlowTokenizer.json(in: Fixtures.folder + "/tokenizers") == nil)
    }
}
