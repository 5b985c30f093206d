import Foundation
import Testing

/// The offer to fetch a model that is not here: made at a terminal, and nowhere else.
@Suite struct PullOfferTests {
    private static let arguments = ["generate", "-m", "martlet-tests/none", "a", "--max-tokens", "1"]

    @Test func scriptsAreToldTheCommand() throws {
        let result = try Command.run(Self.arguments, input: "y\n")
        #expect(result.status == 1)
        #expect(result.errors.contains("martlet pull martlet-tests/none") && !result.errors.contains("[Y/n]"))
    }

    @Test func aTerminalIsAsked() throws {
        var (master, slave) = (Int32(-1), Int32(-1))
        try #require(unsafe openpty(&master, &slave, nil, nil, nil) == 0)
        defer { close(master) }
        let terminal = FileHandle(fileDescriptor: slave, closeOnDealloc: true)
        try FileHandle(fileDescriptor: master).write(contentsOf: Data("n\n".utf8))
        let process = Process()
        process.executableURL = Command.executable
        process.arguments = Self.arguments
        process.environment = ProcessInfo.processInfo.environment.merging([
            "HF_HOME": NSTemporaryDirectory() + UUID().uuidString, "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HUB_OFFLINE": "0",
        ]) { $1 }
        (process.standardInput, process.standardError) = (terminal, terminal)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe read(master, &bytes, bytes.count)
        let shown = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        #expect(process.terminationStatus == 1)
        #expect(shown.contains("martlet-tests/none is not here. Fetch it from http://127.0.0.1:9? [Y/n]"), "\(shown)")
        #expect(shown.contains("martlet pull martlet-tests/none"))
    }
}
