import MartletJSON
import MartletPlatform

/// Lines that a person types at a terminal: edited, remembered, pasted as a whole. Plain where the terminal can do
/// nothing but print.
final class LineEditor {
    private let isPlain: Bool
    /// The words that the tabulator completes.
    private let words: [String]
    private var keys = TerminalKeys()
    private var history: [String] = []
    /// The rows above the cursor of what was drawn last.
    private var above = 0

    init(completing words: [String] = []) {
        let name = Environment["TERM"] ?? ""
        isPlain = isatty(0) == 0 || isatty(1) == 0 || name.isEmpty || name.hasSameBytes(as: "dumb")
        self.words = words
        // A new size interrupts the wait for a key.
        if !isPlain { _ = signal(SIGWINCH) { _ in } }
    }

    /// The next line without its end, or several that were pasted; nil at the end of the input.
    func line(_ prompt: String, further: String = ". ") -> String? {
        guard !isPlain else {
            Output.prompt(prompt)
            return readLine()
        }
        TerminalMode.takeKeys(interrupts: false)
        Output.write("\u{1B}[?2004h")
        defer {
            Output.write("\u{1B}[?2004l")
            TerminalMode.takeKeys(interrupts: true)
        }
        var line = EditedLine(history: history)
        above = 0
        draw(line, prompt, further)
        while let key = keys.next() {
            switch key {
            case .enter:
                leave(line, prompt, further)
                return line.text
            case .endOrRemove where line.scalars.isEmpty: return nil
            case .interrupt:
                leave(line, prompt, further)
                if line.scalars.isEmpty { Output.note("Ctrl-D or /quit ends", isDim: true) }
                line = EditedLine(history: history)
            case .suspend: suspend()
            case .clear:
                Output.write("\u{1B}[H\u{1B}[2J")
                above = 0
            default: edit(&line, key)
            }
            draw(line, prompt, further)
        }
        return nil
    }

    /// Keeps a line for the arrow keys.
    func remember(_ line: String) {
        guard !line.isEmpty, !(history.last?.hasSameBytes(as: line) ?? false) else { return }
        history.append(line)
    }

    /// The terminal as it was found.
    func end() { TerminalMode.restore() }

    private func edit(_ line: inout EditedLine, _ key: TerminalKeys.Key) {
        switch key {
        case .text(let text): line.insert(text)
        case .newRow: line.insert("\n")
        case .removeBefore: line.removeBefore()
        case .removeAfter, .endOrRemove: line.removeAfter()
        case .left: line.moveLeft()
        case .right: line.moveRight()
        case .up: line.moveUp()
        case .down: line.moveDown()
        case .home: line.moveToStart()
        case .end: line.moveToEnd()
        case .wordLeft: line.moveBeforeWord()
        case .wordRight: line.moveAfterWord()
        case .cutToEnd: line.cutToEnd()
        case .cutToStart: line.cutToStart()
        case .cutWordBefore: line.cutWordBefore()
        case .cutWordAfter: line.cutWordAfter()
        case .paste: line.paste()
        case .swap: line.swap()
        case .complete: line.complete(from: words)
        case .enter, .clear, .interrupt, .suspend, .changed, .unknown: break
        }
    }

    /// Draws the line over what was drawn before; of one that is higher than the screen the part around the cursor.
    private func draw(_ line: EditedLine, _ prompt: String, _ further: String) {
        let size = TerminalMode.size
        let layout = line.layout(columns: size.columns, prompt: prompt, further: further)
        let most = size.rows - 1
        let first = max(0, min(layout.row - most / 2, layout.rows.count - most))
        let rows = layout.rows[first..<min(layout.rows.count, first + most)]
        var text = (above > 0 ? "\u{1B}[\(above)A" : "") + "\r\u{1B}[J" + rows.joined(separator: "\r\n")
        above = layout.row - first
        let below = rows.count - 1 - above
        if below > 0 { text += "\u{1B}[\(below)A" }
        text += "\r" + (layout.column > 0 ? "\u{1B}[\(layout.column)C" : "")
        Output.write(text)
    }

    /// Leaves the line as it stands, for what is written below it.
    private func leave(_ line: EditedLine, _ prompt: String, _ further: String) {
        var line = line
        line.moveToLast()
        draw(line, prompt, further)
        Output.write("\r\n")
        above = 0
    }

    /// Ctrl-Z: the terminal is the shell's until it is given back.
    private func suspend() {
        Output.write("\u{1B}[?2004l\r\n")
        TerminalMode.restore()
        kill(0, SIGTSTP)
        TerminalMode.takeKeys(interrupts: false)
        Output.write("\u{1B}[?2004h")
        above = 0
    }
}
