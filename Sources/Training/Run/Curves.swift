import MartletFormats

/// The curves of a run as an SVG: the training loss (means of stretches of steps) and the validation loss (points), the
/// learning rate, and the norm of the gradients, over steps.
package enum Curves {
    private static let width = 860.0
    private static let margin = (left: 92.0, right: 24.0)
    private static let mostPoints = 400

    /// A panel, one set of axes, and the curves on it.
    private struct Panel {
        let name: String
        let top, height: Double
        var curves: [(name: String, color: String, points: [(step: Int, value: Double)], isDotted: Bool)]
    }

    package static func svg(_ records: [StepRecord], title: String) -> String {
        let losses = records.map { ($0.step, $0.loss) }
        let validation = records.compactMap { record in record.validationLoss.map { (record.step, $0) } }
        let panels = [
            Panel(
                name: "loss, nats per token", top: 48, height: 280,
                curves: [
                    ("training", "#1f77b4", thinned(losses), false),
                    ("validation", "#d62728", finite(validation), true),
                ]),
            Panel(
                name: "learning rate", top: 368, height: 90,
                curves: [("", "#2ca02c", thinned(records.map { ($0.step, $0.learningRate) }), false)]),
            Panel(
                name: "gradient norm", top: 498, height: 90,
                curves: [("", "#9467bd", thinned(records.map { ($0.step, $0.gradientNorm) }), false)]),
        ]
        let last = max(1, records.map(\.step).max() ?? 1)
        var lines = [
            #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(short(width)) 640" font-family="sans-serif" font-size="12">"#,
            #"<rect width="100%" height="100%" fill="white"/>"#,
            #"<text x="\#(short(margin.left))" y="26" font-size="15">\#(escaped(title))</text>"#,
            legend(panels[0]),
        ]
        for panel in panels { lines += drawn(panel, last) }
        lines.append(
            #"<text x="\#(short((margin.left + width - margin.right) / 2))" y="630" text-anchor="middle">step</text>"#)
        return (lines + ["</svg>", ""]).joined(separator: "\n")
    }

    private static func x(_ step: Int, _ last: Int) -> Double {
        margin.left + Double(step) / Double(last) * (width - margin.left - margin.right)
    }

    private static func drawn(_ panel: Panel, _ last: Int) -> [String] {
        let values = panel.curves.flatMap(\.points).map(\.value)
        let ticks = ticks(values.min() ?? 0, values.max() ?? 1, about: panel.height > 100 ? 6 : 3)
        let (low, high) = (min(values.min() ?? 0, ticks.first ?? 0), max(values.max() ?? 1, ticks.last ?? 1))
        func y(_ value: Double) -> Double { panel.top + (high - value) / max(high - low, 1e-300) * panel.height }
        let (left, right, bottom) = (short(margin.left), short(width - margin.right), panel.top + panel.height)
        let middle = short(panel.top + panel.height / 2)
        var lines = [
            #"<text x="16" y="\#(middle)" text-anchor="middle" transform="rotate(-90 16 \#(middle))">\#(panel.name)</text>"#
        ]
        for tick in ticks {
            lines.append(
                #"<line x1="\#(left)" x2="\#(right)" y1="\#(short(y(tick)))" y2="\#(short(y(tick)))" stroke="lightgray"/>"#
            )
            lines.append(
                #"<text x="\#(short(margin.left - 8))" y="\#(short(y(tick) + 4))" text-anchor="end">\#(number(tick))</text>"#
            )
        }
        for tick in self.ticks(0, Double(last), about: 8) where tick == tick.rounded() {
            let place = short(x(Int(tick), last))
            lines.append(
                #"<line x1="\#(place)" x2="\#(place)" y1="\#(short(bottom))" y2="\#(short(bottom + 4))" stroke="gray"/>"#
            )
            lines.append(
                #"<text x="\#(place)" y="\#(short(bottom + 17))" text-anchor="middle">\#(number(tick))</text>"#)
        }
        for curve in panel.curves {
            let points = curve.points.map { "\(short(x($0.step, last))),\(short(y($0.value)))" }
            lines.append(
                #"<polyline fill="none" stroke="\#(curve.color)" stroke-width="1.5" points="\#(points.joined(separator: " "))"/>"#
            )
            guard curve.isDotted else { continue }
            for (step, value) in curve.points {
                lines.append(
                    #"<circle cx="\#(short(x(step, last)))" cy="\#(short(y(value)))" r="3" fill="\#(curve.color)"/>"#)
            }
        }
        return lines
    }

    private static func legend(_ panel: Panel) -> String {
        let texts = panel.curves.compactMap { curve in
            curve.points.last.map { #"<tspan fill="\#(curve.color)">\#(curve.name) \#(number($0.value))</tspan>"# }
        }
        return
            #"<text x="\#(short(width - margin.right))" y="26" text-anchor="end">\#(texts.joined(separator: " · "))</text>"#
    }

    /// Round numbers from `low` to `high`, about so many: 1, 2 or 5 times a power of ten apart.
    static func ticks(_ low: Double, _ high: Double, about count: Int) -> [Double] {
        guard low.isFinite, high.isFinite, high > low else { return [low].filter(\.isFinite) }
        let rough = (high - low) / Double(count)
        var power = 1.0
        while power > rough { power /= 10 }
        while power * 10 <= rough { power *= 10 }
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
        let first = (low / step).rounded(.up)
        return (0...(2 * count + 2)).map { (first + Double($0)) * step }.filter { $0 <= high + step * 1e-9 }
    }

    private static func finite(_ values: [(Int, Double)]) -> [(step: Int, value: Double)] {
        values.filter(\.1.isFinite).map { (step: $0.0, value: $0.1) }
    }

    /// Means of equally many neighbours, so that few enough points remain.
    private static func thinned(_ values: [(Int, Double)]) -> [(step: Int, value: Double)] {
        let values = finite(values)
        let size = (values.count + mostPoints - 1) / mostPoints
        guard size > 1 else { return values }
        return stride(from: 0, to: values.count, by: size).map { start in
            let part = values[start..<min(start + size, values.count)]
            return (part[part.endIndex - 1].step, part.reduce(0) { $0 + $1.value } / Double(part.count))
        }
    }

    private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Four significant digits, as a person writes them.
    private static func number(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return "0" }
        var scale = 1.0
        while value.magnitude * scale < 1_000 { scale *= 10 }
        while value.magnitude * scale >= 10_000 { scale /= 10 }
        let text = "\((value * scale).rounded() / scale)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }
}
