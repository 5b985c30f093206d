import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import Testing

@Suite struct DocumentReaderTests {
    private let folder = FolderForTests()

    private func texts(_ text: String, _ format: TextFormat) throws -> [[String]] {
        var reader = try DocumentReader(folder.write(text, to: "text"), format)
        var documents: [[String]] = []
        while let parts = try reader.next() {
            documents.append(parts.map { String(decoding: $0.bytes, as: UTF8.self) + ($0.endsDocument ? "" : "…") })
        }
        return documents
    }

    @Test func boundaries() throws {
        let text = "a\nb\r\n\n \nc\n--\nd"
        #expect(try texts(text, .text(.file)) == [["a\nb\n\n \nc\n--\nd\n"]])
        #expect(try texts(text, .text(.line)) == [["a"], ["b"], [" "], ["c"], ["--"], ["d"]])
        #expect(try texts(text, .text(.paragraph)) == [["a\nb\n"], ["c\n--\nd\n"]])
        #expect(try texts(text, .text(.marker("--"))) == [["a\nb\n\n \nc\n"], ["d\n"]])
        #expect(try texts("", .text(.file)) == [])
    }

    @Test func records() throws {
        let lines = #"{"a": "x\ny", "b": "z"}"# + "\n\n" + #"{"a": "1", "b": "2", "c": 3}"# + "\n"
        #expect(try texts(lines, .jsonLines(fields: ["b", "a"])) == [["z", "x\ny"], ["2", "1"]])
        #expect(try texts("a\tb\tc\n\td\t\n", .tabSeparated(columns: [1, 0])) == [["b", "a"], ["d", ""]])
    }

    @Test func offences() {
        func message(_ text: String, _ format: TextFormat) -> String {
            do { return "\(try texts(text, format))" } catch { return "\(error)" }
        }
        #expect(
            message("{\"a\": \"b\"}\n{\"a\": 1}", .jsonLines(fields: ["a"])).hasSuffix(
                "line 2: there is no text under \"a\""))
        #expect(message("a\tb\na", .tabSeparated(columns: [1])).contains("line 2: there is no column 1, only 1"))
        #expect(message("{", .jsonLines(fields: ["a"])).contains("line 1: "))
    }

    @Test func longTextsComeInParts() throws {
        let lines = (0..<20_000).map { $0 % 7 == 0 ? "  indented \($0)" : "line \($0)" }
        let text = lines.joined(separator: "\n")
        var reader = try DocumentReader(folder.write(text, to: "long"), .text(.file))
        var whole: [UInt8] = []
        var parts: [Bool] = []
        while let next = try reader.next() {
            for part in next {
                #expect(whole.isEmpty || part.bytes.first != 32)
                whole += part.bytes
                parts.append(part.endsDocument)
            }
        }
        #expect(whole == Array((text + "\n").utf8))
        #expect(parts.count > 3 && parts.last == true && !parts.dropLast().contains(true))
    }

    @Test func pairs() throws {
        let (left, right) = (folder.write("a\n\nc\n", to: "left"), folder.write("A\nB\nC\n", to: "right"))
        var reader = try DocumentReader(left, parallelTo: right)
        var seen: [String] = []
        while let parts = try reader.next() {
            seen.append(parts.map { "\($0.side)" + String(decoding: $0.bytes, as: UTF8.self) }.joined())
        }
        #expect(seen == ["0a1A", "0c1C"])
        var uneven = try DocumentReader(left, parallelTo: folder.write("A\n", to: "short"))
        _ = try uneven.next()
        #expect(throws: DataError.self) { while try uneven.next() != nil {} }
    }
}
