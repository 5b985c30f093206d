import MartletFormats

/// The curves of a run as an SVG: the training loss (thin: means of stretches of steps) and the validation loss (points) over steps.
package enum Curves {
    private static let width = 860.0
    private static let height = 420.0
    private static let margin = (left: 60.0, right: 20.0, top: 34.0, bottom: 40.0)
    private static let mostPoints = 400

    package static func svg(_ records: [StepRecord], title: String) -> String {
        let losses = thinned(records.filter(\.loss.isFinite).map { ($0.step, $0.loss) })
        let validation = records.compactMap { record in record.validationLoss.map { (record.step, $0) } }
            .filter(\.1.isFinite)
        let all = losses + validation
        let last = Double(max(1, all.map(\.0).max() ?? 1))
        let (low, high) = range(all.map(\.1))
        func x(_ step: Int) -> Double {
            margin.left + Double(step) / last * (width - margin.left - margin.right)
        }
        func y(_ loss: Double) -> Double {
            margin.top + (high - loss) / (high - low) * (height - margin.top - margin.bottom)
        }
        func points(_ values: [(Int, Double)]) -> String {
            values.map { "\(short(x($0.0))),\(short(y($0.1)))" }.joined(separator: " ")
        }
        var lines = [
            #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(Int(width)) \#(Int(height))" font-family="sans-serif" font-size="12">"#,
            #"<rect width="100%" height="100%" fill="white"/>"#,
            #"<text x="\#(Int(margin.left))" y="20" font-size="14">\#(escaped(title))</text>"#,
        ]
        for mark in 0...4 {
            let loss = low + (high - low) * Double(mark) / 4
            let step = Int(last * Double(mark) / 4)
            lines.append(
                #"<line x1="\#(short(margin.left))" x2="\#(short(width - margin.right))" y1="\#(short(y(loss)))" y2="\#(short(y(loss)))" stroke="lightgray"/>"#
            )
            lines.append(#"<text x="8" y="\#(short(y(loss) + 4))">\#(short(loss))</text>"#)
            lines.append(
                #"<text x="\#(short(x(step)))" y="\#(short(height - 14))" text-anchor="middle">\#(step)</text>"#)
        }
        lines.append(#"<polyline fill="none" stroke="steelblue" points="\#(points(losses))"/>"#)
        if validation.count > 1 {
            lines.append(
                #"<polyline fill="none" stroke="firebrick" stroke-width="2" points="\#(points(validation))"/>"#)
        }
        for (step, loss) in validation {
            lines.append(#"<circle cx="\#(short(x(step)))" cy="\#(short(y(loss)))" r="3" fill="firebrick"/>"#)
        }
        lines.append(legend(losses.last?.1, validation.last?.1))
        return (lines + ["</svg>", ""]).joined(separator: "\n")
    }

    private static func legend(_ loss: Double?, _ validation: Double?) -> String {
        let texts = [("training", "steelblue", loss), ("validation", "firebrick", validation)].compactMap {
            name, color, value in
            value.map { #"<tspan fill="\#(color)">\#(name) \#(short($0))</tspan>"# }
        }
        return
            #"<text x="\#(short(width - margin.right))" y="20" text-anchor="end">\#(texts.joined(separator: " · "))</text>"#
    }

    /// Means of equally many neighbours, so that few enough points remain.
    private static func thinned(_ values: [(Int, Double)]) -> [(Int, Double)] {
        let size = (values.count + mostPoints - 1) / mostPoints
        guard size > 1 else { return values }
        return stride(from: 0, to: values.count, by: size).map { start in
            let part = values[start..<min(start + size, values.count)]
            return (part[part.endIndex - 1].0, part.reduce(0) { $0 + $1.1 } / Double(part.count))
        }
    }

    private static func range(_ values: [Double]) -> (Double, Double) {
        guard let low = values.min(), let high = values.max() else { return (0, 1) }
        return high - low < 1e-9 ? (low - 0.5, high + 0.5) : (low, high)
    }

    private static func short(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }
}
