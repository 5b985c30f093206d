/// The scores of a `tokenizer.json` as Hugging Face's library reads them.
///
/// Its parser (serde_json without `float_roundtrip`) takes the digits as one whole number and divides by a power of
/// ten: two roundings, so every tenth score or so comes out next to the nearest double. Ties between cuts of a text
/// fall by such bits.
enum ReferenceNumber {
    /// - Parameter exact: The number as written; its shortest spelling is what such files hold.
    static func read(_ exact: Double) -> Double {
        guard exact.isFinite, exact != 0 else { return exact }
        let spelling = Array("\(exact.magnitude)".utf8)
        var (digits, exponent, isFraction) = (UInt64(0), 0, false)
        var index = 0
        while index < spelling.count, spelling[index] != UInt8(ascii: "e") {
            if spelling[index] == UInt8(ascii: ".") {
                isFraction = true
            } else {
                let (tenfold, overflow) = digits.multipliedReportingOverflow(by: 10)
                let (sum, carry) = tenfold.addingReportingOverflow(UInt64(spelling[index] - UInt8(ascii: "0")))
                if overflow || carry { return exact }
                digits = sum
                if isFraction { exponent -= 1 }
            }
            index += 1
        }
        if index < spelling.count { exponent += Int(String(decoding: spelling[(index + 1)...], as: UTF8.self)) ?? 0 }
        guard exponent.magnitude <= 308, let power = Double("1e\(exponent.magnitude)") else { return exact }
        let magnitude = exponent < 0 ? Double(digits) / power : Double(digits) * power
        return exact < 0 ? -magnitude : magnitude
    }
}
