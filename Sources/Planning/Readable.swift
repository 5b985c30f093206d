import MartletPlatform

/// The number with separators between thousands: 1234567 as "1,234,567".
package func grouped(_ value: Count) -> String {
    let digits = Array(String(value.magnitude))
    var text = value < 0 ? "-" : ""
    for (position, digit) in digits.enumerated() {
        if position > 0, (digits.count - position) % 3 == 0 { text += "," }
        text.append(digit)
    }
    return text
}

/// The number with `places` digits after the point.
package func fixed(_ value: Double, _ places: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    guard abs(value) < 1e15 else { return "\(value)" }
    let power = pow(10, Double(places))
    let scaled = (abs(value) * power).rounded()
    guard scaled < 9e18 else { return "\(value)" }
    let whole = Int(scaled)
    let divisor = Int(power)
    let sign = value < 0 && whole != 0 ? "-" : ""
    guard places > 0 else { return sign + grouped(Count(whole)) }
    let fraction = String(whole % divisor)
    return sign + grouped(Count(whole / divisor)) + "." + String(repeating: "0", count: places - fraction.utf8.count)
        + fraction
}

/// Four significant digits; powers of ten from a million up and a thousandth down.
package func shortened(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    let size = abs(value)
    if size == 0 { return "0" }
    if value == value.rounded(), size < 1e7 { return grouped(Count(value)) }
    if size >= 1e7 || size < 1e-3 {
        let exponent = Int(log10(size).rounded(.down))
        return fixed(value / pow(10, Double(exponent)), 3) + "e\(exponent)"
    }
    return fixed(value, max(0, 3 - Int(log10(size).rounded(.down))))
}

/// Two significant digits: for what moves from run to run.
package func twoDigits(_ value: Double) -> String {
    guard value.isFinite, value > 0 else { return shortened(value) }
    let exponent = Int(log10(value).rounded(.down)) - 1
    let unit = pow(10, Double(exponent))
    return fixed((value / unit).rounded() * unit, max(0, -exponent))
}

/// A size in both families of units: "4.58 GiB (4.92 GB)".
package func readableBytes(_ bytes: Double) -> String {
    func scaled(_ step: Double, _ names: [String]) -> String {
        var (value, position) = (bytes, 0)
        while abs(value) >= step, position + 1 < names.count { (value, position) = (value / step, position + 1) }
        return position == 0 ? "\(grouped(Count(bytes))) bytes" : "\(fixed(value, 2)) \(names[position])"
    }
    let binary = scaled(1024, ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"])
    return abs(bytes) < 1024 ? binary : "\(binary) (\(scaled(1000, ["bytes", "kB", "MB", "GB", "TB", "PB"])))"
}

/// A time in the unit that suits it.
package func readableSeconds(_ seconds: Double) -> String {
    switch abs(seconds) {
    case ..<1e-3: "\(fixed(seconds * 1e6, 1)) µs"
    case ..<1: "\(fixed(seconds * 1e3, 2)) ms"
    case ..<120: "\(fixed(seconds, 2)) s"
    case ..<7200: "\(fixed(seconds / 60, 1)) min"
    case ..<172_800: "\(fixed(seconds / 3600, 1)) h"
    default: "\(fixed(seconds / 86_400, 1)) days"
    }
}

extension Quantity {
    /// The value with its unit as people write it.
    public var readable: String {
        func one(_ value: Double) -> String {
            switch unit {
            case .bytes: readableBytes(value)
            case .seconds: readableSeconds(value)
            default: "\(shortened(value)) \(unit.rawValue)"
            }
        }
        switch value {
        case .count(let count):
            return unit == .bytes ? readableBytes(Double(count)) : "\(grouped(count)) \(unit.rawValue)"
        case .measure(let measure): return one(measure)
        case .range(let low, let middle, let high): return "\(one(middle)) (\(one(low)) to \(one(high)))"
        }
    }
}
