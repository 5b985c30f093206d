internal import MartletFormats
internal import MartletJSON
package import MartletPlanning
internal import MartletPlatform
package import MartletTensors

/// The limits of this machine as they were last measured, with the day; kept in the cache folder, so that a plan need
/// not measure.
package struct KeptLimits: Sendable {
    package let limits: MachineLimits
    /// The day: "2026-11-29".
    package let date: String
    /// The load average of a minute while it was measured, the number of programs that wanted to run, where more than
    /// this one did.
    package let load: Double?

    package init(limits: MachineLimits, date: String, load: Double?) {
        (self.limits, self.date, self.load) = (limits, date, load)
    }

    /// The path of the kept limits: `machine.json` in Martlet's folder of the user's cache; nil where there is no home
    /// folder.
    package static var path: String? { CacheFolder.path.map { $0 + "/machine.json" } }

    /// The limits that were measured with so many threads on this processor; nil where nothing was, or something else.
    package static func read(threads: Int?) -> KeptLimits? {
        guard let path, fileExists(path), let json = try? JSON(contentsOf: path),
            json["processor"]?.stringValue == Processor.name, json["kernels"]?.stringValue == Processor.kernels,
            let measured = json["threads"]?.integerValue,
            measured == threads ?? Processors.availableCores()
        else { return nil }
        func number(_ key: String) -> Double? {
            json[key]?.doubleValue.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
        }
        guard let bandwidth = number("bandwidth"), let f32 = number("f32"), let bf16 = number("bf16"),
            let int8 = number("int8"), let date = json["date"]?.stringValue
        else { return nil }
        return KeptLimits(
            limits: MachineLimits(threads: measured, bandwidth: bandwidth, f32: f32, bf16: bf16, int8: int8),
            date: date, load: number("load"))
    }

    /// Measures for about `seconds`, and keeps what was found where that can be written.
    package static func measure(threads: Int?, seconds: Double = 1) -> KeptLimits {
        let device = Device(threads: threads)
        let others = (Processors.lines(of: "/proc/loadavg").first?.split(separator: " ").first).flatMap {
            Double($0)
        }
        let found = KeptLimits(
            limits: .measure(on: device, seconds: seconds), date: today(), load: others.flatMap { $0 > 0.5 ? $0 : nil })
        let kept = found.raised(by: read(threads: device.threads))
        kept.keep()
        return kept
    }

    /// These limits where they were measured on a calm machine; where others ran beside, nothing lower than was found
    /// before, for a limit is the most that the machine gives.
    package func raised(by earlier: KeptLimits?) -> KeptLimits {
        guard let load, let earlier, earlier.limits.threads == limits.threads else { return self }
        let (old, new) = (earlier.limits, limits)
        return KeptLimits(
            limits: MachineLimits(
                threads: new.threads, bandwidth: max(old.bandwidth, new.bandwidth), f32: max(old.f32, new.f32),
                bf16: max(old.bf16, new.bf16), int8: max(old.int8, new.int8)),
            date: date, load: earlier.load.map { min($0, load) })
    }

    private func keep() {
        guard let path = KeptLimits.path else { return }
        var object = JSONObject()
        object["processor"] = .string(Processor.name)
        object["kernels"] = .string(Processor.kernels)
        object["threads"] = .integer(limits.threads)
        for (key, value) in [
            ("bandwidth", limits.bandwidth), ("f32", limits.f32), ("bf16", limits.bf16), ("int8", limits.int8),
        ] { object[key] = .number(value) }
        object["date"] = .string(date)
        if let load { object["load"] = .number(load) }
        do {
            if let slash = path.lastIndex(of: "/") { try Folder.make(String(path[..<slash])) }
            var file = try AtomicFile(path)
            try file.append(JSON.object(object).serialized())
            try file.commit()
        } catch {
            // A cache that cannot be written costs a measurement the next time, and nothing else.
        }
    }

    private static func today() -> String {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe gmtime_r(&now, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        return "\(year)-\(two(month))-\(two(day))"
    }
}

extension Hardware {
    /// The machine this runs on: its memory, and bandwidth and peaks where they were measured.
    package static func thisMachine(_ kept: KeptLimits?) -> Hardware {
        var figures: [Field: Figure] = [
            .memory: Figure(Double(Processor.memory.total), source: "/proc/meminfo", date: "now"),
            // The peak is itself what the best products reach.
            .matmulCeiling: Figure(1, source: "measured peaks", date: "now"),
        ]
        if let kept {
            func figure(_ value: Double) -> Figure { Figure(value, source: "measured here", date: kept.date) }
            figures[.singlePeak] = figure(kept.limits.f32)
            figures[.halfPeak] = figure(kept.limits.bf16)
            figures[.integerPeak] = figure(kept.limits.int8)
            figures[.bandwidth] = figure(kept.limits.bandwidth)
        }
        let threads = kept.map { ", \($0.limits.threads) threads" } ?? ""
        let beside = kept?.load == nil ? "" : ", measured beside other programs: --refresh measures anew"
        return Hardware(name: "this machine (\(Processor.name)\(threads)\(beside))", figures: figures)
    }
}
