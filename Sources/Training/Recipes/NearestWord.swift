/// The known word that was probably meant.
package enum NearestWord {
    /// The one of `known` with the smallest distance to `word`, when that is small beside its length.
    package static func of(_ word: String, among known: [String]) -> String? {
        let best = known.map { (distance: distance(Array(word.utf8), Array($0.utf8)), word: $0) }
            .min { ($0.distance, $0.word) < ($1.distance, $1.word) }
        guard let best, best.distance <= max(1, word.utf8.count / 3) + 1 else { return nil }
        return best.word
    }

    /// Insertions, removals and replacements of bytes that turn one into the other (Levenshtein).
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, left) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in b.enumerated() {
                let replaced = diagonal + (left == right ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
