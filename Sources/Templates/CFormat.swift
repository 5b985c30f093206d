import MartletPlatform

/// Number and time formatting as the C library does it exactly.
enum CFormat {
    /// `%.*f`.
    static func fixed(_ value: Double, _ places: Int) -> String { number(value, places, "%.*f") }

    /// `%.*e`, `%.*g` and their kin.
    static func scientific(_ value: Double, _ places: Int, _ type: Unicode.Scalar) -> String {
        number(value, places, "%.*\(type)")
    }

    private static func number(_ value: Double, _ places: Int, _ format: String) -> String {
        var buffer = [CChar](repeating: 0, count: 512 + places)
        let capacity = buffer.count
        let length = unsafe buffer.withUnsafeMutableBufferPointer { buffer in
            unsafe withVaList([Int32(clamping: places), value]) { arguments in
                unsafe vsnprintf(buffer.baseAddress, capacity, format, arguments)
            }
        }
        return String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func secondsNow() -> time_t {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec
    }

    /// The local time, by `strftime`'s rules.
    static func time(_ format: String) -> String {
        var seconds = secondsNow()
        var parts = unsafe tm()
        unsafe localtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 1024)
        let capacity = buffer.count
        let length = unsafe buffer.withUnsafeMutableBufferPointer { buffer in
            unsafe strftime(buffer.baseAddress.unsafelyUnwrapped, capacity, format, &parts)
        }
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
