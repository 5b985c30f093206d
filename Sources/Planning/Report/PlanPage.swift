internal import MartletLayers

extension Plan {
    /// The plan as one HTML file with charts: no script, nothing to load, every derivation under its number.
    package var page: String {
        let title = "Plan of \(blueprint.modelType)"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(Chart.escaped(title))</title>
            <style>
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
            table { border-collapse: collapse; width: 100% } td, th { padding: .2em .6em; text-align: left; vertical-align: top }
            tr { border-top: 1px solid #ddd } td.number { white-space: nowrap } figure { margin: 1.5em 0 } svg { width: 100%; height: auto }
            svg text { font: 12px system-ui, sans-serif; fill: #222 } figcaption { font-weight: 600 } details { color: #555; font-size: 90% }
            </style></head><body>
            <h1>\(Chart.escaped(title))</h1>
            <p>\(grouped(Count(workload.tokens))) tokens × \(workload.sequences), weights \(Chart.escaped(request.weights.description)), \
            cache \(request.cache.type.rawValue)</p>
            \(answer.isEmpty ? "" : "<ul>" + answer.map { "<li>\(Chart.escaped($0))</li>" }.joined() + "</ul>")
            \(charts)
            \(sections.map(Plan.table).joined(separator: "\n"))
            <h2>Notes</h2><ul>\(notes.map { "<li>\(Chart.escaped($0))</li>" }.joined())</ul>
            </body></html>

            """
    }

    private static func table(_ section: Section) -> String {
        let rows = section.entries.map { entry in
            """
            <tr><td>\(Chart.escaped(entry.key.replacing("_", with: " ")))</td>\
            <td class="number">\(Chart.escaped(entry.quantity.readable))</td>\
            <td><details><summary>\(Chart.escaped(entry.quantity.formula.name))</summary>\
            \(Chart.escaped(entry.quantity.derivation))</details></td></tr>
            """
        }
        return "<h2>\(Chart.escaped(section.name))</h2><table>\(rows.joined())</table>"
    }

    private var charts: String {
        let parts = ParameterCount(blueprint).byRole.map { role, elements in
            (name: role.rawValue, value: Double(elements), label: grouped(elements))
        }
        let keys = ["weights_bytes", "kv_cache_bytes", "buffers_bytes", "logits_bytes"]
        let memory = keys.compactMap { key in
            self["memory", key].map { (name: key.replacing("_bytes", with: ""), value: $0.amount, label: $0.readable) }
        }
        let here = sections.first { $0.name == "engine" }?.entries.filter {
            $0.key.hasSuffix("_bytes") && $0.key != "peak_bytes"
        }
        let resident = (here ?? []).map { entry in
            (
                name: entry.key.replacing("_bytes", with: ""), value: entry.quantity.amount,
                label: entry.quantity.readable
            )
        }
        let operations = OperationTerm.allCases.compactMap { term in
            terms[term].map { (name: term.rawValue, value: Double($0), label: shortened(Double($0)) + " FLOP") }
        }
        return Chart.bars("Parameters by role", parts) + Chart.bars("Memory of running", memory)
            + Chart.bars("Resident on this machine", resident)
            + Chart.bars("Operations of a pass by term", operations) + roofline + timeAgainstDevices
    }

    private var roofline: String {
        let points = ["prefill", "decode", "forward"].compactMap { phase in
            self["time", "\(phase)_intensity"].map { (name: phase, intensity: $0.amount) }
        }
        guard let peak = request.hardware.flatMap({ self.peak(of: $0) }), let bandwidth = request.hardware?[.bandwidth],
            !points.isEmpty
        else {
            return ""
        }
        return Chart.roofline(peak: peak, bandwidth: bandwidth, points: points)
    }

    /// The run's time with a quarter to four times the devices, each with its best layout.
    private var timeAgainstDevices: String {
        guard let training = request.training, let hardware = request.hardware, layouts != nil else { return "" }
        let steps = training.tokens / Double(workload.tokens * training.globalBatch)
        let points = [-2, -1, 0, 1, 2].compactMap { shift -> (x: Double, y: Double, label: String)? in
            let devices = shift < 0 ? training.devices >> -shift : training.devices << shift
            guard devices > 0,
                let search = try? LayoutSearch(
                    blueprint, hardware: hardware, devices: devices, globalBatch: training.globalBatch,
                    tokens: workload.tokens,
                    recipe: training.recipe), let best = search.run().fitting.first
            else { return nil }
            let seconds = best.time.seconds * steps
            return (Double(devices), seconds, readableSeconds(seconds))
        }
        return Chart.curve("Time of the run against devices", points)
    }
}
