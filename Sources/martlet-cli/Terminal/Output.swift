import MartletJSON
import MartletPlatform
import MartletTensors

/// The output of the command: results to standard output, the rest to standard error.
enum Output {
    /// Writes to standard output at once, so that a reader sees each piece as it comes.
    static func write(_ text: String) { write(Array(text.utf8), to: 1) }

    /// Writes bytes to standard output at once.
    static func write(_ text: [UInt8]) { write(text, to: 1) }

    /// Words for the person at the terminal, on standard error, without ending the line.
    static func prompt(_ text: String) { write(Array(text.utf8), to: 2) }

    /// A line for the person at the terminal, on standard error.
    ///
    /// Files and requests are quoted there, so that what would steer a terminal is spelled out.
    static func note(_ text: String, isDim: Bool = false) {
        let visible = visible(text, keeping: ["\n", "\t"])
        write(Array(((isDim ? Style.dim(visible) : visible) + "\n").utf8), to: 2)
    }

    /// A line of a log that machines read, on standard error: JSON, in which nothing can steer a terminal but U+007F
    /// and above.
    static func logLine(_ json: [UInt8]) { write(json + [UInt8(ascii: "\n")], to: 2) }

    /// A text with its control and formatting characters spelled out, for a terminal that shows what somebody else
    /// wrote.
    static func visible(_ text: String, keeping kept: Set<Unicode.Scalar> = []) -> String {
        let hidden: [Unicode.GeneralCategory] = [.control, .format, .lineSeparator, .paragraphSeparator]
        var visible = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if hidden.contains(scalar.properties.generalCategory) && !kept.contains(scalar) {
                visible.append(contentsOf: scalar.escaped(asASCII: true).unicodeScalars)
            } else {
                visible.append(scalar)
            }
        }
        return String(visible)
    }

    /// A piece of a line that is written over, for progress on a terminal.
    static func line(_ text: String) { write(Array(text.utf8), to: 2) }

    /// Writes one machine-readable document to standard output.
    static func document(_ json: JSON) { write(json.text(.pretty(indent: 2)) + "\n") }

    /// Keeps the numbers of streams that came closed: the next file that is opened would have one, and be written into.
    /// Writing to a closed standard output goes on to fail.
    static func holdStreams() {
        for descriptor in Int32(0)...2 {
            var status = stat()
            guard unsafe fstat(descriptor, &status) != 0 else { continue }
            _ = unsafe open("/dev/null", descriptor == 2 ? O_WRONLY : O_RDONLY)
        }
    }

    /// Returns whether so many more files can be opened: the runtime ends the process by a trap where its own cannot.
    static func canOpen(_ count: Int) -> Bool {
        let opened = (0..<count).map { _ in unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) }
        for descriptor in opened where descriptor >= 0 { close(descriptor) }
        return opened.allSatisfy { $0 >= 0 }
    }

    /// Ends the process; what is half written then is removed.
    static func end(_ status: Int32) -> Never {
        TerminalMode.restore()
        UnfinishedFile.removeAll { exit(status) }
        exit(status)
    }

    /// Ends the process where its results cannot go. A reader that went away has seen what it wanted; it is told all
    /// the same, for a script that reads the exit code.
    private static func fail(_ descriptor: Int32, _ code: Int32) -> Never {
        if descriptor == 1 {
            note("martlet: standard output: cannot write: \(unsafe String(cString: strerror(code)))")
        }
        end(1)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        guard unsafe bytes.withUnsafeBytes({ unsafe writeAll(descriptor, $0) }) else { fail(descriptor, errno) }
    }
}

/// The input of the command besides models.
enum Input {
    /// The most bytes that are read at once; whatever never ends, ends here, and before memory does.
    static var limit: Int { fitting(1 << 30, shareOfMemory: 16) }

    /// The most bytes of one text that becomes tokens, which takes some 50 bytes for each.
    static var longestText: Int { fitting(1 << 30, shareOfMemory: 64) }

    /// At most this share of the memory that is left, and no more than `most`.
    static func fitting(_ most: Int, shareOfMemory share: Int) -> Int {
        let available = SystemMemory.available.bytes
        return available > 0 ? min(most, max(1 << 20, available / share)) : most
    }

    /// The bytes of the file at `path`, or of standard input for "-".
    ///
    /// - Parameter limit: More bytes than this are an error.
    static func bytes(_ path: String, limit: Int = limit) throws(FileError) -> [UInt8] {
        let descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "open") }
        defer { if descriptor != 0 { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe readBytes(descriptor, into: $0) }
            guard count >= 0 else { throw failure(path, "read") }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= limit else { throw tooLong(path, "more than \(limit) bytes at once") }
            bytes += buffer.prefix(count)
        }
    }

    /// The text of the file at `path`, or of standard input for "-".
    static func text(_ path: String, limit: Int = limit) throws -> String {
        let bytes = try bytes(path, limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileError(
                path: path == "-" ? "standard input" : path, operation: "read", reason: "it is not UTF-8 text")
        }
        return text
    }

    /// The text of the file at `path`, or of standard input for "-", with malformed UTF-8 replaced by U+FFFD.
    static func repairedText(_ path: String, limit: Int = limit) throws -> String {
        let bytes = try bytes(path, limit: limit)
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        warnOfMalformedText(path)
        return String(decoding: bytes, as: UTF8.self)
    }

    static func warnOfMalformedText(_ path: String) {
        Output.note(
            "martlet: \(path == "-" ? "standard input" : path) is not all UTF-8; what is malformed was read as U+FFFD")
    }

    static func tooLong(_ path: String, _ what: String) -> FileError {
        FileError(path: path == "-" ? "standard input" : path, operation: "read", reason: "it holds \(what)")
    }

    static func failure(_ path: String, _ operation: String) -> FileError {
        FileError(
            path: path == "-" ? "standard input" : path, operation: operation,
            reason: unsafe String(cString: strerror(errno)))
    }
}
