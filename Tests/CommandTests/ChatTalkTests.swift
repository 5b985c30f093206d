import Foundation
import MartletFormats
import TestSupport
import Testing

/// `martlet chat` as a person at a terminal has it.
@Suite(.serialized) struct ChatTalkTests {
    /// The screen of a terminal at which these keys are pressed, one after the other.
    private static func shown(_ keys: [String], type: String = "xterm") throws -> (status: Int32, text: String) {
        var result: (status: Int32, text: String) = (-1, "")
        try TemporaryFolder.use { path in
            try ChatTests.model(in: path)
            let terminal = try Terminal(["chat", "-m", path, "--max-tokens", "4"], type: type)
            try terminal.wait(for: "> ")
            for key in keys { try terminal.press(key) }
            result = try terminal.end()
        }
        return result
    }

    /// `/system` shows what was typed before.
    @Test(arguments: [
        (["/system é日本😀x\r", "/system\r"], "é日本😀x"), (["/system e\u{301}日b\u{7F}\u{7F}\r", "/system\r"], "e\u{301}"),
        (["/system a日\u{1B}[D\u{1B}[Db\r", "/system\r"], "ba日"), (["/system one two\u{17}2\r", "/system\r"], "one 2"),
        (["abc\u{3}", "/system fresh\r", "/system\r"], "fresh"), (["/sys\tnew\r", "/system\r"], "new"),
        (["/system old\r", "x\u{15}\u{1B}[A\u{7F}\u{7F}\u{7F}new\r", "/system\r"], "new"),
        (["/system b\u{1}\u{5}\u{2}\u{4}c\r", "/system\r"], "c"),
        (["/system a b\u{1B}b\u{B}\u{19}\u{19}\r", "/system\r"], "a bb"),
        (["system ab\u{1}/\u{1B}[F\u{14}\r", "/system\r"], "ba"),
        (["/system one two\u{1B}[1;5DX\u{1B}[H\u{1B}[3~/\r", "/system\r"], "one Xtwo"),
    ]) func keysEdit(_ keys: [String], _ expected: String) throws {
        let (status, text) = try Self.shown(keys + ["\u{4}"])
        #expect(status == 0)
        #expect(text.contains("\u{1B}[?2004l\(expected)\r\n"), "\(text.debugDescription)")
    }

    @Test func pastedLinesAreOneMessage() throws {
        try TemporaryFolder.use { path in
            try ChatTests.model(in: path)
            let terminal = try Terminal(["chat", "-m", path, "--max-tokens", "4"])
            try terminal.wait(for: "> ")
            try terminal.press("\u{1B}[200~w5 w6\r\nw7\nw8\u{1B}[201~")
            try terminal.press("\r")
            let file = path + "/saved.json"
            try terminal.press("/save \(file)\r")
            try terminal.wait(for: "2 messages saved")
            let saved = try String(contentsOfFile: file, encoding: .utf8)
            #expect(saved.contains(#""w5 w6\nw7\nw8""#))
            try terminal.press("\u{4}")
            #expect(try terminal.end().status == 0)
        }
    }

    @Test func longLinesStayInTheirPlace() throws {
        let long = String(repeating: "w日", count: 60)
        let (status, text) = try Self.shown(["/system \(long)\u{1}\u{5}y\r", "/system\r", "\u{4}"])
        #expect(status == 0 && text.contains("\u{1B}[?2004l\(long)y\r\n"))
    }

    @Test func interruptionsAtThePromptEndNothing() throws {
        let (status, text) = try Self.shown(["\u{3}", "\u{3}", "/system kept\r", "/system\r", "/quit\r"])
        #expect(status == 0 && text.contains("Ctrl-D or /quit ends") && text.contains("\u{1B}[?2004lkept\r\n"))
    }

    @Test func dumbTerminalsGetNoSequences() throws {
        let (status, text) = try Self.shown(["/system é\n", "/system\n", "\u{4}"], type: "dumb")
        #expect(status == 0 && text.contains("\r\né\r\n") && !text.contains("\u{1B}[?"))
    }

    @Test func whatCannotBeSavedOrLoadedIsTold() throws {
        let (status, text) = try Self.shown(
            ["/save\r", "/save /nonexistent/x\r", "/load /nonexistent\r", "/load /\r", "/nope\r", "/quit\r"])
        #expect(status == 0)
        for words in ["/save needs the name of a file", "/nonexistent/x: ", "/nonexistent: ", "/nope is no command"] {
            #expect(text.contains(words), "\(words) \(text.debugDescription)")
        }
    }
}

/// A command at a terminal of its own.
private final class Terminal {
    private let master: Int32
    private let process = Process()
    private(set) var shown: [UInt8] = []

    init(_ arguments: [String], type: String = "xterm") throws {
        var (master, slave) = (Int32(-1), Int32(-1))
        var size = winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
        try #require(unsafe openpty(&master, &slave, nil, nil, &size) == 0)
        self.master = master
        let terminal = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
        process.executableURL = Command.executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": type, "NO_COLOR": "1"]) { $1 }
        (process.standardInput, process.standardOutput, process.standardError) = (terminal, terminal, terminal)
        try process.run()
        close(slave)
    }

    deinit { close(master) }

    /// Presses keys when what came of the earlier ones has been shown.
    func press(_ keys: String) throws {
        try FileHandle(fileDescriptor: master).write(contentsOf: Data(keys.utf8))
        take(until: { _ in false }, milliseconds: 400)
    }

    func wait(for text: String) throws {
        take(until: { String(decoding: $0, as: UTF8.self).contains(text) }, milliseconds: 60_000)
        try #require(String(decoding: shown, as: UTF8.self).contains(text))
    }

    /// Takes what is shown until it is enough, nothing comes for a while, or the command has ended.
    private func take(until isEnough: ([UInt8]) -> Bool, milliseconds: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while !isEnough(shown) {
            var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&entry, 1, milliseconds) > 0 else { return }
            let count = unsafe read(master, &buffer, buffer.count)
            guard count > 0 else { return }
            shown += buffer.prefix(count)
        }
    }

    func end() throws -> (status: Int32, text: String) {
        take(until: { _ in false }, milliseconds: 60_000)
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: shown, as: UTF8.self))
    }
}
