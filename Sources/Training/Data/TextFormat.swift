/// The format of documents in a file.
package enum TextFormat: Sendable, Hashable {
    /// Plain text, cut into documents.
    case text(Boundary)
    /// A JSON object a line; each field named is one side of the document.
    case jsonLines(fields: [String])
    /// Tab-separated values; each column, counted from 0, is one side of the document.
    case tabSeparated(columns: [Int])

    /// The boundary at which a plain text's documents end.
    package enum Boundary: Sendable, Hashable {
        case file
        case line
        /// A blank line.
        case paragraph
        /// A line that holds this and nothing else.
        case marker(String)
    }

    /// The number of texts that one document has: two for translations.
    package var sides: Int {
        switch self {
        case .text: 1
        case .jsonLines(let fields): fields.count
        case .tabSeparated(let columns): columns.count
        }
    }

    /// The key of the format in a cache's name.
    var key: String {
        switch self {
        case .text(.file): "file"
        case .text(.line): "line"
        case .text(.paragraph): "paragraph"
        case .text(.marker(let marker)): "marker " + marker
        case .jsonLines(let fields): "jsonl " + fields.joined(separator: "\t")
        case .tabSeparated(let columns): "tsv " + columns.map(String.init).joined(separator: " ")
        }
    }
}
