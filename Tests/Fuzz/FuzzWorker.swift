import Foundation
import MartletPlatform
import Synchronization

/// Runs mutations by number and writes each number down before it is run.
enum FuzzWorker {
    /// The longest that one mutation may take, in seconds of processor time, which other work of the machine does not
    /// lengthen; one that waits for ever is given some minutes.
    static let patience = 5
    /// The memory that one mutation may take beside what the process has, in bytes; files are of some KB.
    static let memory = 64 << 20

    private static let began = Atomic<Int>(0)

    static func run(_ fixtures: String, _ numbers: Range<Int>, scratch: String, only: String?) throws {
        let targets = try FuzzTargets.all(fixtures, scratch: scratch).filter { only == nil || $0.name == only }
        let turns = FuzzTargets.turns(targets)
        guard !turns.isEmpty else {
            print("there is no such target, or no fixture in \(fixtures)")
            exit(2)
        }
        watch()
        let note = try RunningMutation(scratch)
        var memory = PeakMemory()
        for number in numbers {
            let target = turns[number % turns.count]
            note.write(number, target.name)
            began.store(max(1, processorMilliseconds()), ordering: .relaxed)
            var mutator = Mutator(seed: UInt64(number))
            do { try target.run(&mutator) } catch {}
            began.store(0, ordering: .relaxed)
            if memory.growth() > FuzzWorker.memory { exit(98) }
        }
    }

    /// Ends the process when a mutation takes too long.
    private static func watch() {
        let watch = SystemThread {
            var (same, seconds) = (0, 0)
            while true {
                sleep(1)
                let start = began.load(ordering: .relaxed)
                (same, seconds) = (start, start == same ? seconds + 1 : 0)
                if start > 0, processorMilliseconds() - start > patience * 1_000 || seconds > 60 * patience {
                    _exit(97)
                }
            }
        }
        watch?.detach()
    }

    private static func processorMilliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }
}

/// The file that tells which mutation runs, also after the process was killed: its number and its target, padded.
struct RunningMutation {
    private static let width = 48
    private let descriptor: Int32

    init(_ scratch: String) throws {
        let path = RunningMutation.path(scratch)
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    }

    static func path(_ scratch: String) -> String { scratch + "/at" }

    func write(_ number: Int, _ target: String) {
        var bytes = Array("\(number) \(target)".utf8)
        bytes += [UInt8](repeating: 0x20, count: max(0, RunningMutation.width - bytes.count))
        _ = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }
}

/// The most memory that the process has had since it was last asked after a growth.
struct PeakMemory {
    private var before = PeakMemory.peak()

    /// The growth of the peak over what the process had before, in bytes.
    mutating func growth() -> Int {
        let growth = PeakMemory.peak() - before
        if growth > 1 << 20 {
            // Where the system cannot forget a peak, it is measured against what it was.
            try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
            before = PeakMemory.peak()
        }
        return growth
    }

    private static func peak() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
