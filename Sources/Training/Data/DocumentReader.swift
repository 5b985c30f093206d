import MartletJSON
package import MartletPlatform

/// The documents of a file, in its order and in bounded memory.
///
/// Long plain texts come in parts, cut before a line that begins with a letter or sign: no pre-tokenizer in use joins
/// what stands on both sides of such a place, so the parts' tokens end to end are those of the whole.
package struct DocumentReader {
    /// A side of a document, or a part of it.
    package struct Part: Sendable {
        /// 0, or 1 for the second side of parallel texts.
        package let side: Int
        /// The text in UTF-8.
        package let bytes: [UInt8]
        package let endsDocument: Bool
    }

    private static let longestPart = 1 << 16

    private let path: String
    private let format: TextFormat
    private let lines: LineReader
    /// The lines of the second side, of texts that stand in two files line by line.
    private let otherLines: LineReader?
    private var number = 0
    private var gathered: [UInt8] = []
    private var hasBegun = false
    private var ended = false

    package init(_ path: String, _ format: TextFormat) throws(FileError) {
        let lines = try LineReader(path)
        (self.path, self.format) = (path, format)
        self.lines = lines
        otherLines = nil
    }

    /// Two files whose lines belong together. Pairs with an empty side are left out.
    package init(_ path: String, parallelTo other: String) throws(FileError) {
        let lines = try LineReader(path)
        let otherLines = try LineReader(other)
        (self.path, format) = (path, .text(.line))
        self.lines = lines
        self.otherLines = otherLines
    }

    /// The next part or, of formats with several sides, all sides of the next document. Nil at the end.
    ///
    /// - Throws: ``DataError`` naming the line, or ``FileError``.
    package mutating func next() throws -> [Part]? {
        if otherLines != nil { return try nextPair() }
        guard case .text(let boundary) = format else { return try nextRecord() }
        while !ended {
            guard let line = try nextLine() else {
                ended = true
                return finished().map { [$0] }
            }
            if boundary == .line {
                if !line.isEmpty { return [Part(side: 0, bytes: line, endsDocument: true)] }
                continue
            }
            if DocumentReader.ends(line, boundary) {
                if let part = finished() { return [part] }
                continue
            }
            if let part = add(line) { return [part] }
        }
        return nil
    }

    private mutating func nextLine() throws(FileError) -> [UInt8]? {
        guard let line = try lines.next() else { return nil }
        number += 1
        return DocumentReader.withoutReturn(line)
    }

    private static func withoutReturn(_ line: [UInt8]) -> [UInt8] { line.last == 13 ? line.dropLast() : line }

    private static func ends(_ line: [UInt8], _ boundary: TextFormat.Boundary) -> Bool {
        switch boundary {
        case .file, .line: false
        case .paragraph: line.allSatisfy { $0 == 32 || $0 == 9 }
        case .marker(let marker): line.elementsEqual(marker.utf8)
        }
    }

    /// Takes in a line; returns what came before it when that is long enough and may be cut here.
    private mutating func add(_ line: [UInt8]) -> Part? {
        var part: Part?
        if gathered.count >= DocumentReader.longestPart, let first = line.first, first > 32, first < 128 {
            part = Part(side: 0, bytes: gathered, endsDocument: false)
            gathered = []
        }
        gathered += line
        gathered.append(10)
        hasBegun = true
        return part
    }

    private mutating func finished() -> Part? {
        guard hasBegun else { return nil }
        defer { (gathered, hasBegun) = ([], false) }
        return Part(side: 0, bytes: gathered, endsDocument: true)
    }

    // MARK: - Records

    private mutating func nextPair() throws -> [Part]? {
        while true {
            let (line, other) = (try nextLine(), try otherLines?.next())
            guard let line, let other else {
                if line == nil && other == nil { return nil }
                throw DataError("\(path): its lines and those of the other side are not equally many (\(number))")
            }
            if line.isEmpty || other.isEmpty { continue }
            return [line, DocumentReader.withoutReturn(other)].enumerated().map {
                Part(side: $0, bytes: $1, endsDocument: true)
            }
        }
    }

    private mutating func nextRecord() throws -> [Part]? {
        while let line = try nextLine() {
            if line.isEmpty { continue }
            let sides: [[UInt8]]
            switch format {
            case .jsonLines(let fields): sides = try texts(of: fields, line)
            case .tabSeparated(let columns): sides = try values(of: columns, line)
            case .text: return nil
            }
            return sides.enumerated().map { Part(side: $0, bytes: $1, endsDocument: true) }
        }
        return nil
    }

    private func texts(of fields: [String], _ line: [UInt8]) throws -> [[UInt8]] {
        let object: JSON
        do { object = try JSON(parsing: line) } catch { throw DataError("\(path), line \(number): \(error)") }
        return try fields.map { field in
            guard let text = object[field]?.stringValue else {
                throw DataError("\(path), line \(number): there is no text under \(field.quoted)")
            }
            return Array(text.utf8)
        }
    }

    private func values(of columns: [Int], _ line: [UInt8]) throws -> [[UInt8]] {
        let parts = line.split(separator: 9, omittingEmptySubsequences: false)
        return try columns.map { column in
            guard parts.indices.contains(column) else {
                throw DataError(
                    "\(path), line \(number): there is no column \(column), only \(parts.count) (counted from 0)")
            }
            return Array(parts[column])
        }
    }
}
