/// A line while it is typed: its scalars, the place of the cursor, and the lines before it. Knows no terminal.
struct EditedLine {
    private(set) var scalars: [Unicode.Scalar] = []
    private(set) var cursor = 0
    private var cut: [Unicode.Scalar] = []
    /// The lines that the arrow keys bring back, and last what is being typed.
    private var lines: [[Unicode.Scalar]]
    private var place: Int

    init(history: [String] = []) {
        lines = history.map { Array($0.unicodeScalars) } + [[]]
        place = history.count
    }

    var text: String { String(String.UnicodeScalarView(scalars)) }

    // MARK: Writing

    /// Inserts a text; what would steer a terminal stays away.
    mutating func insert(_ text: String) {
        let new = text.unicodeScalars.filter { scalar in
            scalar == "\n" || scalar == "\t" || scalar.properties.generalCategory != .control
        }
        scalars.insert(contentsOf: new, at: cursor)
        cursor += new.count
    }

    mutating func removeBefore() { remove(before(cursor)..<cursor) }

    mutating func removeAfter() { remove(cursor..<after(cursor)) }

    mutating func cutToEnd() { cut(cursor..<endOfRow) }

    mutating func cutToStart() { cut(startOfRow..<cursor) }

    mutating func cutWordBefore() { cut(wordBefore..<cursor) }

    mutating func cutWordAfter() { cut(cursor..<wordAfter) }

    /// Puts in again what was cut last.
    mutating func paste() {
        scalars.insert(contentsOf: cut, at: cursor)
        cursor += cut.count
    }

    /// Swaps the letters around the cursor.
    mutating func swap() {
        let middle = cursor == scalars.count ? before(cursor) : cursor
        let (start, end) = (before(middle), after(middle))
        guard start < middle, middle < end else { return }
        scalars.replaceSubrange(start..<end, with: scalars[middle..<end] + scalars[start..<middle])
        cursor = end
    }

    /// Completes a beginning as far as the words that begin so agree.
    mutating func complete(from words: [String]) {
        let known = words.map { Array($0.unicodeScalars) }.filter { $0.starts(with: scalars) }
        guard !scalars.isEmpty, let first = known.first else { return }
        scalars = known.dropFirst().reduce(first) { common, word in
            Array(zip(common, word).prefix { $0 == $1 }.map(\.0))
        }
        if known.count == 1 { scalars.append(" ") }
        cursor = scalars.count
    }

    private mutating func remove(_ range: Range<Int>) {
        scalars.removeSubrange(range)
        cursor = range.lowerBound
    }

    private mutating func cut(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        cut = Array(scalars[range])
        remove(range)
    }

    // MARK: Moving

    mutating func moveLeft() { cursor = before(cursor) }
    mutating func moveRight() { cursor = after(cursor) }
    mutating func moveToStart() { cursor = startOfRow }
    mutating func moveToEnd() { cursor = endOfRow }
    mutating func moveBeforeWord() { cursor = wordBefore }
    mutating func moveAfterWord() { cursor = wordAfter }
    mutating func moveToLast() { cursor = scalars.count }

    /// Moves up a row of the text; from the first one to the line before.
    mutating func moveUp() {
        guard startOfRow == 0 else { return moveRow(from: startOfRow, to: start(ofRowBefore: startOfRow)) }
        show(place - 1)
    }

    /// Moves down a row of the text; from the last one to the line after.
    mutating func moveDown() {
        guard endOfRow == scalars.count else { return moveRow(from: startOfRow, to: endOfRow + 1) }
        show(place + 1)
    }

    private mutating func moveRow(from old: Int, to new: Int) {
        let end = scalars[new...].firstIndex(of: "\n") ?? scalars.count
        cursor = min(new + cursor - old, end)
    }

    /// Another line in place of this one; what was typed is kept.
    private mutating func show(_ other: Int) {
        guard lines.indices.contains(other) else { return }
        lines[place] = scalars
        (place, scalars, cursor) = (other, lines[other], lines[other].count)
    }

    private var startOfRow: Int { scalars[..<cursor].lastIndex(of: "\n").map { $0 + 1 } ?? 0 }
    private var endOfRow: Int { scalars[cursor...].firstIndex(of: "\n") ?? scalars.count }

    private func start(ofRowBefore start: Int) -> Int {
        scalars[..<(start - 1)].lastIndex(of: "\n").map { $0 + 1 } ?? 0
    }

    /// The place before a letter with what is written over it.
    private func before(_ place: Int) -> Int {
        var place = place
        repeat { place -= 1 } while place > 0 && scalars[place].columns == 0
        return max(0, place)
    }

    private func after(_ place: Int) -> Int {
        var place = place
        repeat { place += 1 } while place < scalars.count && scalars[place].columns == 0
        return min(scalars.count, place)
    }

    private var wordBefore: Int {
        var place = cursor
        while place > 0, !scalars[place - 1].isOfWord { place -= 1 }
        while place > 0, scalars[place - 1].isOfWord { place -= 1 }
        return place
    }

    private var wordAfter: Int {
        var place = cursor
        while place < scalars.count, !scalars[place].isOfWord { place += 1 }
        while place < scalars.count, scalars[place].isOfWord { place += 1 }
        return place
    }

    // MARK: Showing

    /// The rows of a screen, and where the cursor stands among them.
    struct Layout {
        var rows: [String]
        var row = 0
        var column = 0
    }

    /// The rows on a screen of so many columns, the first behind `prompt`, further rows of the text behind `further`.
    func layout(columns: Int, prompt: String, further: String) -> Layout {
        var layout = Layout(rows: [prompt])
        var column = prompt.unicodeScalars.count
        func goOn(_ beginning: String) {
            layout.rows.append(beginning)
            column = beginning.unicodeScalars.count
        }
        for (index, scalar) in scalars.enumerated() {
            let width = scalar == "\t" ? 4 : scalar.columns
            if scalar != "\n", column + width > columns { goOn("") }
            if index == cursor {
                if column == columns { goOn("") }
                (layout.row, layout.column) = (layout.rows.count - 1, column)
            }
            guard scalar != "\n" else {
                goOn(further)
                continue
            }
            layout.rows[layout.rows.count - 1] += scalar == "\t" ? "    " : String(scalar)
            column += width
        }
        if cursor == scalars.count {
            if column == columns { goOn("") }
            (layout.row, layout.column) = (layout.rows.count - 1, column)
        }
        return layout
    }
}

extension Unicode.Scalar {
    fileprivate var isOfWord: Bool { properties.isAlphabetic || properties.numericType != nil || columns == 0 }

    /// The columns of a terminal that it takes: none for what is written over another, two for wide letters (UAX #11).
    var columns: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97C, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
            return 2
        default: return properties.isEmojiPresentation ? 2 : 1
        }
    }
}
