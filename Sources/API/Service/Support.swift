import Martlet
import MartletFormats
import MartletGeneration
import MartletModels
import MartletPlatform
import MartletServing
import MartletTasks
import MartletTokenizers

/// The wall clock.
enum UnixTime {
    /// Whole seconds since 1970.
    static var now: Int { Int(time(nil)) }

    /// ISO 8601 in UTC with milliseconds.
    static func text() -> String {
        var clock = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &clock)
        var seconds = clock.tv_sec
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + "\(value)" }
        let milliseconds = String(clock.tv_nsec / 1_000_000 + 1_000).dropFirst()
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
    }
}

/// Base64 as in RFC 4648.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var word = UInt32(bytes[start]) << 16
            if count > 1 { word |= UInt32(bytes[start + 1]) << 8 }
            if count > 2 { word |= UInt32(bytes[start + 2]) }
            for index in 0..<4 {
                text.append(index <= count ? digits[Int(word >> (18 - 6 * UInt32(index)) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The decoded bytes; nil for what is no base64.
    static func decode(_ text: String) -> [UInt8]? {
        var (word, bits): (UInt32, UInt32) = (0, 0)
        var bytes: [UInt8] = []
        for byte in text.utf8 where byte != UInt8(ascii: "=") && !CallParser.isBlank(byte) {
            guard let value = digits.firstIndex(of: byte) else { return nil }
            (word, bits) = (word << 6 | UInt32(value), bits + 6)
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> bits))
            }
        }
        return bytes
    }

    /// Little-endian 32-bit floats, as OpenAI sends vectors.
    static func encode(_ values: [Float]) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * 4)
        for value in values {
            let bits = value.bitPattern
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift)))
            }
        }
        return encode(bytes)
    }
}

/// Names of requests and answers.
enum RequestIdentity {
    /// The id of a request: what the client calls it, as far as that can stand in a log; else 24 random letters.
    static func id(_ request: APIRequest) -> String {
        guard let given = request.headers["x-request-id"], (1...64).contains(given.utf8.count),
            given.utf8.allSatisfy({ isWord($0) })
        else { return random() }
        return given
    }

    static func random() -> String {
        let digits = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        return String(decoding: (0..<24).map { _ in digits[Int.random(in: 0..<digits.count)] }, as: UTF8.self)
    }

    static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
            || byte == 0x5F || byte == 0x2E
    }
}

/// Errors of the layers below: which of them a request is to blame for.
enum Failures {
    static func isOfRequest(_ error: any Error) -> Bool {
        switch error as? EngineError {
        case .invalid?, .unsatisfiable?: return true
        default: break
        }
        return error is GenerationError || error is TaskError || error is TokenizerError
    }
}
