extension JSON {
    /// The blanks between the parts of a written value.
    public enum Layout: Sendable {
        /// The compact layout: no blank anywhere.
        case compact
        /// The pretty layout: one member or element per line, each level indented by so many spaces; empty containers
        /// stay on one line.
        case pretty(indent: Int)
    }

    /// The value as UTF-8 JSON text, escaped as Python's `json.dumps(…, ensure_ascii=False)` does.
    ///
    /// Numbers are written with the fewest digits that read back as the same Double; a number that is not finite has no
    /// JSON and is written as `null`, as JavaScript does.
    public func serialized(_ layout: Layout = .compact) -> [UInt8] {
        var writer = JSONWriter(layout)
        writer.write(self)
        return writer.bytes
    }

    /// ``serialized(_:)`` as text.
    public func text(_ layout: Layout = .compact) -> String {
        String(decoding: serialized(layout), as: UTF8.self)
    }
}

private struct JSONWriter {
    var bytes: [UInt8] = []
    private let indent: Int?
    private var depth = 0

    init(_ layout: JSON.Layout) {
        switch layout {
        case .compact: indent = nil
        case .pretty(let spaces): indent = spaces
        }
    }

    mutating func write(_ value: JSON) {
        switch value {
        case .null: write("null")
        case .bool(let value): write(value ? "true" : "false")
        case .integer(let value): write(String(value))
        case .number(let value): write(value.isFinite ? value.description : "null")
        case .string(let value): quote(value)
        case .array(let elements): list(elements, "[", "]") { $0.write($1) }
        case .object(let object):
            list(object.members, "{", "}") {
                $0.quote($1.key)
                $0.write($0.indent == nil ? ":" : ": ")
                $0.write($1.value)
            }
        }
    }

    private mutating func list<Element>(
        _ elements: [Element], _ open: String, _ close: String, each: (inout JSONWriter, Element) -> Void
    ) {
        write(open)
        depth += 1
        for (position, element) in elements.enumerated() {
            if position > 0 { write(",") }
            newLine()
            each(&self, element)
        }
        depth -= 1
        if !elements.isEmpty { newLine() }
        write(close)
    }

    private mutating func newLine() {
        guard let indent else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * depth))
    }

    private mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): write("\\\"")
            case UInt8(ascii: "\\"): write("\\\\")
            case 0x08: write("\\b")
            case 0x09: write("\\t")
            case 0x0A: write("\\n")
            case 0x0C: write("\\f")
            case 0x0D: write("\\r")
            case 0..<0x20: write((byte < 16 ? "\\u000" : "\\u00") + String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
