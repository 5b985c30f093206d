/// Charts as SVG that stands in a page: no script, no font, nothing to load.
enum Chart {
    private static let colours = ["#3b6ea5", "#c8553d", "#588157", "#d4a72c", "#7b5ea7", "#6c757d", "#2a9d8f"]
    private static let width = 640.0

    /// Bars side by side, each with its name and value.
    static func bars(_ title: String, _ values: [(name: String, value: Double, label: String)]) -> String {
        let largest = values.map(\.value).max() ?? 0
        guard largest > 0 else { return "" }
        let rows = values.enumerated().map { index, bar in
            let y = 30 + 26 * Double(index)
            let length = max(1, 340 * bar.value / largest)
            return """
                <text x="150" y="\(fixed(y + 14, 0))" text-anchor="end">\(escaped(bar.name))</text>\
                <rect x="158" y="\(fixed(y, 0))" width="\(plain(length))" height="20" fill="\(colours[index % colours.count])"/>\
                <text x="\(plain(164 + length))" y="\(fixed(y + 14, 0))">\(escaped(bar.label))</text>
                """
        }
        return frame(title, height: 40 + 26 * Double(values.count), rows.joined(separator: "\n"))
    }

    /// The roofline: attainable operations per second over operations per byte, both logarithmic, with phases as points.
    static func roofline(peak: Double, bandwidth: Double, points: [(name: String, intensity: Double)]) -> String {
        let ridge = peak / bandwidth
        let (left, right) = (
            min(0.1, points.map(\.intensity).min() ?? 0.1), max(ridge * 30, points.map(\.intensity).max() ?? 1)
        )
        let (low, high) = (left * bandwidth, peak * 2)
        func x(_ intensity: Double) -> Double { 60 + 540 * logarithm(intensity / left) / logarithm(right / left) }
        func y(_ rate: Double) -> Double { 280 - 240 * logarithm(rate / low) / logarithm(high / low) }
        var body = """
            <polyline fill="none" stroke="#333" stroke-width="2" points="\(plain(x(left))),\(plain(y(left * bandwidth))) \
            \(plain(x(ridge))),\(plain(y(peak))) \(plain(x(right))),\(plain(y(peak)))"/>
            <text x="\(plain(x(ridge) + 6))" y="\(plain(y(peak) - 6))">\(escaped(shortened(peak))) FLOP/s, ridge \(escaped(shortened(ridge))) FLOP/byte</text>
            """
        for (index, point) in points.enumerated() {
            let rate = min(peak, point.intensity * bandwidth)
            let colour = colours[index % colours.count]
            body += """
                <circle cx="\(plain(x(point.intensity)))" cy="\(plain(y(rate)))" r="6" fill="\(colour)"/>\
                <text x="\(plain(x(point.intensity) + 10))" y="\(plain(y(rate) + 18))">\(escaped(point.name)), \(escaped(shortened(point.intensity))) FLOP/byte</text>
                """
        }
        return frame("Roofline", height: 310, body)
    }

    /// A curve over a logarithmic axis of devices, with its values as labels.
    static func curve(_ title: String, _ points: [(x: Double, y: Double, label: String)]) -> String {
        guard let first = points.first, let last = points.last, points.count > 1, last.x > first.x else { return "" }
        let (low, high) = (points.map(\.y).min() ?? 1, points.map(\.y).max() ?? 1)
        func x(_ value: Double) -> Double { 60 + 500 * logarithm(value / first.x) / logarithm(last.x / first.x) }
        func y(_ value: Double) -> Double {
            high > low ? 260 - 200 * logarithm(value / low) / logarithm(high / low) : 160
        }
        let line = points.map { "\(plain(x($0.x))),\(plain(y($0.y)))" }.joined(separator: " ")
        let marks = points.map { point in
            """
            <circle cx="\(plain(x(point.x)))" cy="\(plain(y(point.y)))" r="4" fill="\(colours[0])"/>\
            <text x="\(plain(x(point.x)))" y="\(plain(y(point.y) - 10))" text-anchor="middle">\(escaped(point.label))</text>\
            <text x="\(plain(x(point.x)))" y="290" text-anchor="middle">\(fixed(point.x, 0))</text>
            """
        }
        return frame(
            title, height: 300,
            "<polyline fill=\"none\" stroke=\"\(colours[0])\" stroke-width=\"2\" points=\"\(line)\"/>" + marks.joined())
    }

    private static func frame(_ title: String, height: Double, _ body: String) -> String {
        """
        <figure><figcaption>\(escaped(title))</figcaption>
        <svg viewBox="0 0 \(fixed(width, 0)) \(fixed(height, 0))" role="img" aria-label="\(escaped(title))">\(body)</svg></figure>

        """
    }

    /// A coordinate without separators between thousands.
    private static func plain(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Text that may stand between tags and in attributes.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
