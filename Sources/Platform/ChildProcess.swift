/// A child process, a program that runs beside this one: its input is given whole, and what it writes is read whole.
package struct ChildProcess: Sendable {
    /// The exit code, or 128 and the number of the signal that ended it.
    package let status: Int32
    package let output: [UInt8]
    package let errors: [UInt8]

    /// Runs `program`, found in PATH, and waits for its end.
    ///
    /// - Parameters:
    ///   - variables: what of this process's environment it sees.
    ///   - input: at most what a pipe holds, 64 KiB.
    ///   - limit: the most bytes of output that are kept; the rest is read and forgotten.
    ///   - watch: called a few times a second while it runs.
    /// - Throws: ``FileError`` where it cannot be started.
    package static func run(
        _ program: String, _ arguments: [String], seeing variables: [String], input: [UInt8], limit: Int,
        watch: () -> Void = {}
    ) throws(FileError) -> ChildProcess {
        let (read, write, problems) = (try Pipe(program), try Pipe(program), try Pipe(program))
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, read.reading, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, write.writing, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, problems.writing, 2)
        let environment = variables.compactMap { name in
            unsafe getenv(name).map { unsafe "\(name)=\(String(cString: $0))" }
        }
        var process: pid_t = 0
        let code = unsafe withCStrings([program] + arguments) { arguments in
            unsafe withCStrings(environment) { environment in
                unsafe posix_spawnp(&process, program, &actions, nil, arguments, environment)
            }
        }
        guard code == 0 else { throw FileError(path: program, operation: "start this program", code: code) }
        read.closeReading()
        write.closeWriting()
        problems.closeWriting()
        read.give(input)
        let (output, errors) = (Collected(limit), Collected(1 << 16))
        collect([(write.reading, output), (problems.reading, errors)], watch)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return ChildProcess(
            status: signal == 0 ? (status >> 8) & 0xFF : 128 + signal, output: output.bytes, errors: errors.bytes)
    }

    /// Reads until both are at their end.
    private static func collect(_ sources: [(descriptor: Int32, into: Collected)], _ watch: () -> Void) {
        var open = sources
        while !open.isEmpty {
            var states = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            let ready = unsafe poll(&states, nfds_t(states.count), 200)
            watch()
            guard ready > 0 else { continue }
            open = zip(open, states).filter { source, state in
                state.revents == 0 || source.into.take(from: source.descriptor)
            }.map(\.0)
        }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = unsafe strings.map { unsafe strdup($0) }
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe body(pointers + [nil])
    }
}

/// The bytes that were read of a stream, up to a limit.
private final class Collected {
    private let limit: Int
    private(set) var bytes: [UInt8] = []

    init(_ limit: Int) { self.limit = limit }

    /// - Returns: false at the end.
    func take(from descriptor: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 { return errno == EINTR || errno == EAGAIN }
        if bytes.count < limit { bytes += buffer.prefix(min(count, limit - bytes.count)) }
        return count > 0
    }
}

/// Two ends of a pipe that no other program inherits; both are closed with it.
private final class Pipe {
    private(set) var reading: Int32 = -1
    private(set) var writing: Int32 = -1

    init(_ program: String) throws(FileError) {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else {
            throw FileError(path: program, operation: "start this program", code: errno)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        closeReading()
        closeWriting()
    }

    func closeReading() {
        if reading >= 0 { close(reading) }
        reading = -1
    }

    func closeWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }

    /// Writes `bytes` and ends the stream. A reader that is gone already has said why elsewhere.
    func give(_ bytes: [UInt8]) {
        _ = unsafe bytes.withUnsafeBytes { unsafe write(writing, $0.baseAddress, $0.count) }
        closeWriting()
    }
}
