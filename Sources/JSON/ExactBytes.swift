// Strings as bytes: what a vocabulary, a tensor's name and a key are.

extension String {
    /// Equality of the UTF-8 bytes, where `==` would also accept another normalization.
    package func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8Span.bytesEqual(to: other.utf8)
    }

    /// The text as it may stand in a message: in quotes, control characters escaped, cut when long.
    package var quoted: String { JSON.string(self).text().shortened }

    /// The text, or its beginning and an ellipsis.
    package var shortened: String {
        let limit = 200
        guard utf8.count > limit else { return self }
        return String(decoding: utf8.prefix(limit), as: UTF8.self) + "…"
    }
}

extension Hasher {
    mutating func combine(bytesOf string: String) {
        unsafe string.utf8Span.span.withUnsafeBytes { unsafe combine(bytes: $0) }
    }
}

/// A string as the key of a dictionary that tells normalizations apart.
package struct ExactKey: Hashable, Sendable {
    package let string: String

    package init(_ string: String) { self.string = string }

    package static func == (a: ExactKey, b: ExactKey) -> Bool { a.string.hasSameBytes(as: b.string) }
    package func hash(into hasher: inout Hasher) { hasher.combine(bytesOf: string) }
}
