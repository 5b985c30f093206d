import Foundation
import MartletPlatform
import Synchronization

/// Runs mutations by number and writes each number down before it is run.
enum FuzzWorker {
    /// The longest that one mutation may take, in seconds of processor time, which other work of the machine does not
    /// lengthen; one that waits for ever is given some minutes.
    static let patience = 5
    /// The memory that one mutation may take beside what the process has, in bytes.
    static let memory = 192 << 20

    private static let began = Atomic<Int>(0)

    static func run(_ fixtures: String, _ numbers: Range<Int>, scratch: String, only: String?) throws {
        let targets = try FuzzTargets.all(fixtures, scratch: scratch).filter { only == nil || $0.name == only }
        guard !targets.isEmpty else {
            print("there is no such target, or no fixture in \(fixtures)")
            exit(2)
        }
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
        var peak = resident()
        for number in numbers {
            let target = targets[number % targets.count]
            try "\(number) \(target.name)".write(toFile: scratch + "/at", atomically: false, encoding: .utf8)
            began.store(max(1, processorMilliseconds()), ordering: .relaxed)
            var mutator = Mutator(seed: UInt64(number))
            do { try target.run(&mutator) } catch {}
            began.store(0, ordering: .relaxed)
            let after = resident()
            if after - peak > memory { exit(98) }
            peak = max(peak, after)
        }
    }

    private static func processorMilliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    /// The most memory that the process has had, in bytes.
    private static func resident() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
