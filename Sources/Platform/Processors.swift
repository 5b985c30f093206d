/// The processors that this process may use, as the system tells them.
package enum Processors {
    /// The physical cores among the allowed processors: two threads of one core share its arithmetic.
    package static func availableCores() -> Int {
        let allowed = allowedProcessors()
        guard !allowed.isEmpty else { return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
        var cores: [String] = []
        for processor in allowed {
            let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
            let core = lines(of: path).first ?? "\(processor)"
            if !cores.contains(core) { cores.append(core) }
        }
        return cores.count
    }

    /// The numbers of `Cpus_allowed_list` ("0-3,8"), which affinity masks and containers narrow.
    private static func allowedProcessors() -> [Int] {
        let key = "Cpus_allowed_list:"
        guard let line = lines(of: "/proc/self/status").first(where: { $0.hasPrefix(key) }) else { return [] }
        return line.dropFirst(key.count).split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0.filter { $0.isNumber }) }
            guard let first = ends.first, let last = ends.last, first <= last, last < 65_536 else { return [] }
            return Array(first...last)
        }
    }

    /// The size in bytes of the largest cache of the first processor; 0 where the system does not say.
    package static func lastLevelCache() -> Int {
        (0..<8).map { index in
            let line = lines(of: "/sys/devices/system/cpu/cpu0/cache/index\(index)/size").first ?? ""
            return (Int(line.filter(\.isNumber)) ?? 0) << (line.hasSuffix("M") ? 20 : line.hasSuffix("K") ? 10 : 0)
        }.max() ?? 0
    }

    /// The lines of a small text file of the system; none when it cannot be read.
    package static func lines(of path: String) -> [String] {
        guard let file = unsafe fopen(path, "r") else { return [] }
        defer { unsafe fclose(file) }
        var lines: [String] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&buffer, Int32(buffer.count), file) != nil {
            lines.append(
                String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return lines
    }
}
