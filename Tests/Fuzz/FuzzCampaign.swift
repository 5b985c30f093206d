import Foundation

/// Starts workers, and says what ended them.
struct FuzzCampaign {
    let fixtures: String
    let seconds: Double
    let first: Int
    let only: String?
    /// Mutations of one worker, so that what leaks does not add up.
    private static let portion = 200_000

    /// - Returns: whether nothing was found.
    func run() throws -> Bool {
        // Files of mutations are for memory, not for a disk.
        let isLinux = FileManager.default.isWritableFile(atPath: "/dev/shm")
        let scratch = (isLinux ? "/dev/shm" : NSTemporaryDirectory()) + "/martlet-fuzz-\(getpid())"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let end = Date().addingTimeInterval(seconds)
        var (next, findings) = (first, 0)
        while Date() < end {
            let worker = Process()
            worker.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
            worker.arguments =
                [fixtures, "--worker", "\(next)", "\(next + FuzzCampaign.portion)", scratch]
                + (only.map { ["--only", $0] } ?? [])
            worker.standardError = FileHandle.nullDevice
            worker.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
            try worker.run()
            while worker.isRunning, Date() < end { usleep(20_000) }
            let isStopped = worker.isRunning
            if isStopped { worker.interrupt() }
            worker.waitUntilExit()
            let at = ((try? String(contentsOfFile: RunningMutation.path(scratch), encoding: .utf8)) ?? "\(next)")
                .trimmingCharacters(in: .whitespaces)
            let number = Int(at.split(separator: " ").first ?? "") ?? next
            if isStopped || worker.terminationReason == .exit && worker.terminationStatus == 0 {
                next = isStopped ? number : next + FuzzCampaign.portion
                continue
            }
            findings += 1
            // At once, also into a file.
            FileHandle.standardOutput.write(Data("mutation \(at): \(FuzzCampaign.words(worker))\n".utf8))
            next = number + 1
        }
        print("\(next - first) mutations from \(first) in \(Int(seconds)) s, \(findings) findings")
        return findings == 0
    }

    private static func words(_ worker: Process) -> String {
        switch (worker.terminationReason, worker.terminationStatus) {
        case (.exit, 97): "over \(FuzzWorker.patience) seconds"
        case (.exit, 98): "over \(FuzzWorker.memory >> 20) MB"
        case (.exit, 2): "cannot begin"
        case (_, let status): "ended by signal or status \(status)"
        }
    }
}
