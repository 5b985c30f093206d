import MartletPlatform

/// The wall clock.
enum UnixTime {
    /// Whole seconds since 1970.
    static var now: Int { Int(time(nil)) }

    /// ISO 8601 in UTC with milliseconds.
    ///
    /// - Parameter given: seconds since 1970; now when nil.
    static func text(_ given: Int? = nil) -> String {
        var clock = timespec(tv_sec: given ?? 0, tv_nsec: 0)
        if given == nil { unsafe clock_gettime(CLOCK_REALTIME, &clock) }
        var seconds = clock.tv_sec
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + "\(value)" }
        let milliseconds = String(clock.tv_nsec / 1_000_000 + 1_000).dropFirst()
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
    }
}
