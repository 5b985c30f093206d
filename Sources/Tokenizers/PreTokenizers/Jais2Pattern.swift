/// Jais 2's pattern: Llama 3's, with blanks in runs of powers of two.
struct Jais2Pattern: CoveringPattern {
    static let spelling =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"#

    private static let widths = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1]

    private let base = CL100KPattern(digits: 3)
    private let classes = ScalarClasses()

    func end(of text: Span<UInt8>, from start: Int) -> Int {
        let end = base.end(of: text, from: start)
        guard classes.at(start, text).classes & ScalarClasses.space != 0,
            ScalarProperties(text.scalar(before: end).value).isSpace, text[end - 1] != 10, text[end - 1] != 13
        else { return end }
        return endOfBlanks(text, from: start)
    }

    /// The end of the widest run that no other scalar follows, else of one blank. At most 512 are looked at.
    private func endOfBlanks(_ text: Span<UInt8>, from start: Int) -> Int {
        var ends: [Int] = []
        var index = start
        while index < text.count, ends.count <= Jais2Pattern.widths[0] {
            let scalar = classes.at(index, text)
            guard scalar.classes & ScalarClasses.space != 0 else { break }
            index += scalar.length
            ends.append(index)
        }
        let width = Jais2Pattern.widths.first { $0 < ends.count || $0 == ends.count && index == text.count }
        return ends[(width ?? 1) - 1]
    }
}
