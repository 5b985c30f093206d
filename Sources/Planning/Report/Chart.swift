/// Charts that stand in a page: no script, no font, nothing to load. Colours are the page's, light or dark.
enum Chart {
    /// An axis: what it counts, in which unit.
    struct Axis {
        let name: String
        let unit: String
        var title: String { unit.isEmpty ? name : "\(name) (\(unit))" }
    }

    /// A point with what stands beside it.
    struct Point {
        let x: Double
        let y: Double
        let label: String
    }

    private static let width = 460.0
    private static let height = 320.0
    private static let frame = (left: 62.0, right: 16.0, top: 16.0, bottom: 48.0)

    /// Bars below one another, longest first, each with its name and value; one measure, so one colour.
    static func bars(_ title: String, unit: String, _ values: [(name: String, value: Double, label: String)]) -> String
    {
        let largest = values.map(\.value).max() ?? 0
        guard largest > 0 else { return "" }
        let rows = values.sorted { $0.value > $1.value }.map { bar in
            """
            <li><span>\(escaped(bar.name))</span><span class="track"><i style="width:\(plain(100 * bar.value / largest))%"></i></span>\
            <span>\(escaped(bar.label))</span></li>
            """
        }
        return """
            <figure><figcaption>\(escaped(title)) <small>\(escaped(unit))</small></figcaption>
            <ul class="bars">\(rows.joined(separator: "\n"))</ul></figure>

            """
    }

    /// The roofline: attainable operations per second over operations per byte, both logarithmic, with phases as
    /// points.
    static func roofline(peak: Double, bandwidth: Double, points: [(name: String, intensity: Double)]) -> String {
        let ridge = peak / bandwidth
        let left = min(ridge / 100, points.map(\.intensity).min() ?? ridge)
        let right = max(ridge * 30, points.map(\.intensity).max() ?? ridge)
        let plot = Plot(
            x: left...right, y: left * bandwidth...peak * 2, Axis(name: "operations per byte read", unit: "FLOP/byte"),
            Axis(name: "attainable speed", unit: "FLOP/s"))
        let corners = [(left, left * bandwidth), (ridge, peak), (right, peak)].map { plot.place($0.0, $0.1) }
        var body = plot.axes
        body += #"<polyline class="line" points="\#(corners.joined(separator: " "))"/>"#
        body += plot.text(ridge, peak, "limit of this machine: \(power(peak)) FLOP/s", dy: -6, anchor: "middle")
        // Points near one another are named one below the other.
        for (index, point) in points.enumerated() {
            let rate = min(peak, point.intensity * bandwidth)
            let nearRight = point.intensity > ridge
            body += plot.circle(point.intensity, rate, "p\(index)")
            body += plot.text(
                point.intensity, rate, "\(point.name), \(shortened(point.intensity)) FLOP/byte",
                dx: nearRight ? -8 : 8, dy: 18 + 14 * Double(index % 3), anchor: nearRight ? "end" : "start")
        }
        return framed("Roofline: what bounds each phase", body)
    }

    /// A curve over logarithmic axes, each point with its label.
    static func curve(_ title: String, _ points: [Point], _ x: Axis, _ y: Axis) -> String {
        guard let first = points.first, let last = points.last, points.count > 1, last.x > first.x else { return "" }
        let (low, high) = (points.map(\.y).min() ?? 1, points.map(\.y).max() ?? 1)
        let plot = Plot(x: first.x / 1.3...last.x * 1.3, y: low / 1.6...max(high, low * 1.01) * 1.6, x, y)
        let line = points.map { plot.place($0.x, $0.y) }.joined(separator: " ")
        let marks = points.map {
            plot.circle($0.x, $0.y, "p0") + plot.text($0.x, $0.y, $0.label, dy: -10, anchor: "middle")
        }
        return framed(title, plot.axes + #"<polyline class="line" points="\#(line)"/>"# + marks.joined())
    }

    private static func framed(_ title: String, _ body: String) -> String {
        """
        <figure><figcaption>\(escaped(title))</figcaption>
        <svg viewBox="0 0 \(plain(width)) \(plain(height))" role="img" aria-label="\(escaped(title))">\(body)</svg></figure>

        """
    }

    /// A coordinate without separators between thousands.
    private static func plain(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// A power of ten, as axes say it.
    private static func power(_ value: Double) -> String {
        let units = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
        guard let unit = units.first(where: { value >= $0.0 * 0.999 }) else { return shortened(value) }
        let scaled = value / unit.0
        return (scaled < 10 && scaled.rounded() != scaled ? fixed(scaled, 1) : fixed(scaled, 0)) + " " + unit.1
    }

    /// Two logarithmic axes, and what stands at places between them.
    private struct Plot {
        let x, y: ClosedRange<Double>
        let names: (x: Axis, y: Axis)

        init(x: ClosedRange<Double>, y: ClosedRange<Double>, _ first: Axis, _ second: Axis) {
            (self.x, self.y, names) = (x, y, (first, second))
        }

        private func across(_ value: Double) -> Double {
            let share = logarithm(value / x.lowerBound) / logarithm(x.upperBound / x.lowerBound)
            return frame.left + share * (width - frame.left - frame.right)
        }

        private func down(_ value: Double) -> Double {
            let share = logarithm(value / y.lowerBound) / logarithm(y.upperBound / y.lowerBound)
            return height - frame.bottom - share * (height - frame.top - frame.bottom)
        }

        func place(_ x: Double, _ y: Double) -> String { "\(plain(across(x))),\(plain(down(y)))" }

        func circle(_ x: Double, _ y: Double, _ kind: String) -> String {
            #"<circle class="\#(kind)" cx="\#(plain(across(x)))" cy="\#(plain(down(y)))" r="5"/>"#
        }

        /// A text beside a place, kept within the picture.
        func text(_ x: Double, _ y: Double, _ text: String, dx: Double = 0, dy: Double = 0, anchor: String) -> String {
            let length = 5.6 * Double(text.unicodeScalars.count)
            let before = anchor == "start" ? 0 : anchor == "end" ? length : length / 2
            let left = min(max(across(x) + dx - before, frame.left + 2), max(frame.left, width - 2 - length))
            let top = min(max(down(y) + dy, 11), height - frame.bottom - 4)
            return #"<text x="\#(plain(left))" y="\#(plain(top))">\#(escaped(text))</text>"#
        }

        /// Lines at powers of ten, or at 1, 2 and 5 times them where there are few, and the axes' names.
        var axes: String {
            let (bottom, right) = (height - frame.bottom, width - frame.right)
            var body = ""
            for tick in Plot.ticks(x) {
                let place = plain(across(tick))
                body += #"<path class="grid" d="M\#(place) \#(plain(frame.top))V\#(plain(bottom))"/>"#
                body +=
                    #"<text class="tick" x="\#(place)" y="\#(plain(bottom + 15))" text-anchor="middle">\#(power(tick))</text>"#
            }
            for tick in Plot.ticks(y) {
                let place = down(tick)
                body += #"<path class="grid" d="M\#(plain(frame.left)) \#(plain(place))H\#(plain(right))"/>"#
                body +=
                    #"<text class="tick" x="\#(plain(frame.left - 6))" y="\#(plain(place + 4))" text-anchor="end">\#(power(tick))</text>"#
            }
            let (middle, centre) = (plain((frame.left + right) / 2), plain((frame.top + bottom) / 2))
            body +=
                #"<text x="\#(middle)" y="\#(plain(height - 10))" text-anchor="middle">\#(escaped(names.x.title))</text>"#
            body +=
                #"<text x="14" y="\#(centre)" text-anchor="middle" transform="rotate(-90 14 \#(centre))">\#(escaped(names.y.title))</text>"#
            return body
        }

        private static func ticks(_ range: ClosedRange<Double>) -> [Double] {
            let decades = (-12...30).map { exponent in
                (0..<abs(exponent)).reduce(1.0) { value, _ in exponent < 0 ? value / 10 : value * 10 }
            }
            let whole = decades.filter { range.contains($0) }
            guard whole.count < 3 else {
                return whole.count > 8 ? whole.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) : whole
            }
            return decades.flatMap { decade in [1.0, 2, 5].map { $0 * decade } }.filter { range.contains($0) }
        }
    }

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
