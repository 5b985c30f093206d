import Martlet

/// The keys that open a service, compared without an early end.
package struct KeyRing: Sendable, Equatable {
    private let keys: [[UInt8]]

    package init(_ keys: [String] = []) { self.keys = keys.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Reads a key ring, one key per line; blank lines and those that begin with # are passed over.
    package init(file text: String) {
        self.init(
            text.split(whereSeparator: \.isNewline).map { line in
                String(decoding: line.utf8.drop { CallParser.isBlank($0) }, as: UTF8.self)
            }.map { line in
                var bytes = Array(line.utf8)
                while let last = bytes.last, CallParser.isBlank(last) { bytes.removeLast() }
                return String(decoding: bytes, as: UTF8.self)
            }.filter { !$0.isEmpty && !$0.utf8.starts(with: "#".utf8) })
    }

    package var isEmpty: Bool { keys.isEmpty }

    /// The number of the key that `given` is; nil for none. Takes as long for a wrong key as for a right one of its
    /// length.
    package func number(of given: String) -> Int? {
        let given = Array(given.utf8)
        var found: Int?
        for (number, key) in keys.enumerated() {
            var difference = key.count ^ given.count
            for index in given.indices { difference |= Int(given[index] ^ key[index % key.count]) }
            if difference == 0 { found = number }
        }
        return found
    }
}
