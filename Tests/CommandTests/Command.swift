import Foundation

/// Runs the built command in a process of its own.
enum Command {
    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    /// The command lies beside the test bundle, where the build put it.
    static let executable = program("martlet")

    /// A program of this package.
    static func program(_ name: String) -> URL {
        // Under the package manager the running program may be its own helper; the bundle is then among the arguments.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent(name)
    }

    /// The cache of the commands under test: what they measure and pack beside other tests is nobody's to keep.
    private static let cache: String = {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-cache-\(UUID().uuidString)")
        atexit { try? FileManager.default.removeItem(atPath: Command.cache) }
        return folder.path
    }()

    /// - Throws: what starting the process or the files around it throws.
    static func run(_ arguments: [String], input: String = "", of program: URL = executable) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files rather than pipes: nobody has to read while the other writes.
        let files = ["input", "output", "errors"].map { folder.appendingPathComponent($0) }
        for file in files { try Data(input.utf8).write(to: file) }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_CACHE_HOME": cache]) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        for file in files[1...] { try Data().write(to: file) }
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        let status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
        return Result(
            status: status, output: String(decoding: try Data(contentsOf: files[1]), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: files[2]), as: UTF8.self))
    }
}
