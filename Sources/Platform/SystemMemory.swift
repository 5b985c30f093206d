/// The memory that this process may have: of the machine, of its control groups, and of its own limits the least.
package enum SystemMemory {
    /// The limit that allows no more memory.
    package enum Limit: String, Sendable {
        case machine = "the machine"
        case controlGroup = "its control group"
        case addressSpace = "its limit of addresses (ulimit -v)"
    }

    /// The size of all memory in bytes.
    package static var total: Int { min(machine("MemTotal"), groups.map(\.limit).min() ?? .max) }

    /// Bytes that can be had without swapping, and what allows no more.
    package static var available: (bytes: Int, limit: Limit) {
        var least = (bytes: machine("MemAvailable"), limit: Limit.machine)
        for group in groups where group.free < least.bytes { least = (group.free, .controlGroup) }
        if let left = addressesLeft, left < least.bytes { least = (left, .addressSpace) }
        return least
    }

    private static func machine(_ key: String) -> Int {
        let line = Processors.lines(of: "/proc/meminfo").first { $0.hasPrefix(key + ":") } ?? ""
        return (Int(line.filter(\.isNumber)) ?? 0) * 1024
    }

    // MARK: Control groups

    /// The limit of each of the process's control groups that has one, and what is free under it.
    private static var groups: [(limit: Int, free: Int)] {
        Processors.lines(of: "/proc/self/cgroup").flatMap { line -> [(limit: Int, free: Int)] in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            let isSecond = parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains("memory") else { return [] }
            return ancestors(of: parts[2]).compactMap { isSecond ? second($0) : first($0) }
        }
    }

    /// A group's path and those above it, down to none.
    private static func ancestors(of path: Substring) -> [Substring] {
        var paths = [path]
        while let last = paths.last, let slash = last.lastIndex(of: "/") { paths.append(last[..<slash]) }
        return paths
    }

    private static func second(_ path: Substring) -> (limit: Int, free: Int)? {
        let folder = "/sys/fs/cgroup" + path
        return free(folder + "/memory.max", folder + "/memory.current", folder + "/memory.stat", "inactive_file")
    }

    private static func first(_ path: Substring) -> (limit: Int, free: Int)? {
        let folder = "/sys/fs/cgroup/memory" + path
        return free(
            folder + "/memory.limit_in_bytes", folder + "/memory.usage_in_bytes", folder + "/memory.stat",
            "total_inactive_file")
    }

    /// The limit of a control group, and what is free under it. What is used counts the pages of files, which the
    /// system takes back when it needs them.
    private static func free(_ limit: String, _ usage: String, _ statistics: String, _ files: String)
        -> (limit: Int, free: Int)?
    {
        guard let most = Processors.lines(of: limit).first.flatMap({ Int($0) }), most < 1 << 60,
            let used = Processors.lines(of: usage).first.flatMap({ Int($0) })
        else { return nil }
        let pages = Processors.lines(of: statistics).first { $0.hasPrefix(files + " ") }
        let reclaimed = pages.flatMap { Int($0.dropFirst(files.utf8.count + 1)) } ?? 0
        return (most, max(0, most - max(0, used - reclaimed)))
    }

    /// The address space in bytes that is left under RLIMIT_AS; nil where there is no limit.
    private static var addressesLeft: Int? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < 1 << 60,
            let pages = Processors.lines(of: "/proc/self/statm").first?.split(separator: " ").first.flatMap({ Int($0) })
        else { return nil }
        return max(0, Int(limit.rlim_cur) - pages * Int(sysconf(Int32(_SC_PAGESIZE))))
    }
}
