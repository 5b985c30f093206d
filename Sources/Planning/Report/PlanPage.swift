internal import MartletLayers

extension Plan {
    /// The plan as one HTML file with charts, every derivation under its number.
    ///
    /// - Parameter facts: how the plan came about: the command, the date.
    package func page(_ name: String, _ facts: [(name: String, value: String)]) -> String {
        var all: [(name: String, value: String)] = [
            ("Model", "\(name) (\(blueprint.modelType), \(ParameterCount(blueprint).total.readable))"),
            (
                "Text",
                "\(grouped(Count(workload.tokens))) tokens, \(workload.sequences == 1 ? "one sequence" : "\(workload.sequences) sequences")"
            ),
            ("Stored as", "weights \(request.weights.description), keys and values \(request.cache.type.rawValue)"),
        ]
        if let hardware = request.hardware { all.append(("Machine", hardware.name)) }
        let verdict = answer.map { "<li>\(Chart.escaped($0))</li>" }.joined()
        return ReportPage(
            .init("Plan of \(name)", all + facts),
            body: """
                \(answer.isEmpty ? "" : "<ul class=\"answer\">\(verdict)</ul>")
                <div class="charts">
                \(charts)</div>
                \(sections.map(Plan.table).joined(separator: "\n"))
                <h2>Assumptions</h2><ul>\(notes.map { "<li>\(Chart.escaped($0))</li>" }.joined())</ul>
                """
        ).text
    }

    private static func table(_ section: Section) -> String {
        let rows = section.entries.map { ReportPage.row(human($0.key), $0.quantity) }
        return "<h2>\(Chart.escaped(human(section.name)))</h2><table>\(rows.joined())</table>"
    }

    /// Whole words for a person: `kv_cache_bytes` and `queryKeyValue` as they would be said.
    static func human(_ key: String) -> String {
        if let known = names[key] { return known }
        var words = ""
        for scalar in key.unicodeScalars {
            if scalar == "_" {
                words += " "
            } else if ("A"..."Z").contains(scalar), words.unicodeScalars.last.map({ ("a"..."z").contains($0) }) ?? false
            {
                words += " " + String(scalar).lowercased()
            } else {
                words.unicodeScalars.append(scalar)
            }
        }
        for (ending, word) in [(" bytes", ""), (" per second", " a second"), (" seconds", " time")]
        where words.hasSuffix(ending) {
            words = String(words.dropLast(ending.utf8.count)) + word
        }
        return (words.first.map { String($0).uppercased() } ?? "") + words.dropFirst()
    }

    private static let names = [
        "flops": "Operations", "gguf": "As a GGUF file", "engine": "On this machine",
        "kv_cache_bytes": "Keys and values",
        "kv_cache_bytes_per_token": "Keys and values, per token", "logits_bytes": "Logits",
        "decode_token": "Writing one token",
        "prefill": "Reading the text", "forward": "Forward pass", "backward": "Backward pass",
        "forward_causal": "Forward pass, causal half of the attention", "ridge": "Ridge of the roofline",
        "norm": "Norms", "tokens": "Token table", "head": "Output table", "output": "Attention, output",
        "query": "Attention, queries",
        "key": "Attention, keys", "value": "Attention, values", "queryKeyValue": "Attention, all inputs",
        "up": "Feed-forward, up",
        "gate": "Feed-forward, gate", "gateUp": "Feed-forward, gate and up", "down": "Feed-forward, down",
        "positions": "Position table",
        "segments": "Segment table", "scores": "Attention, scores", "attentionOutput": "Attention, output",
        "feedForward": "Feed-forward", "elementwise": "Elementwise", "router": "Router of experts",
    ]

    private var charts: String {
        let parts = ParameterCount(blueprint).byRole.map { role, elements in
            (name: Plan.human(role.rawValue), value: Double(elements), label: grouped(elements))
        }
        let keys = ["weights_bytes", "kv_cache_bytes", "buffers_bytes", "logits_bytes"]
        let memory = keys.compactMap { key in
            self["memory", key].map { (name: Plan.human(key), value: $0.amount, label: $0.readable) }
        }
        let here = sections.first { $0.name == "engine" }?.entries.filter {
            $0.key.hasSuffix("_bytes") && $0.key != "peak_bytes"
        }
        let resident = (here ?? []).map { entry in
            (name: Plan.human(entry.key), value: entry.quantity.amount, label: entry.quantity.readable)
        }
        let operations = OperationTerm.allCases.compactMap { term in
            terms[term].map { (name: Plan.human(term.rawValue), value: Double($0), label: shortened(Double($0))) }
        }
        return Chart.bars("Parameters by role", unit: "numbers", parts)
            + Chart.bars("Memory of running", unit: "bytes", memory)
            + Chart.bars("Resident on this machine", unit: "bytes", resident)
            + Chart.bars("Operations of a pass by part", unit: "FLOP", operations) + roofline + timeAgainstDevices
    }

    private var roofline: String {
        let points = [("prefill", "reading"), ("decode", "writing"), ("forward", "a pass")].compactMap { phase, name in
            self["time", "\(phase)_intensity"].map { (name: name, intensity: $0.amount) }
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
        let points = [-2, -1, 0, 1, 2].compactMap { shift -> Chart.Point? in
            let devices = shift < 0 ? training.devices >> -shift : training.devices << shift
            guard devices > 0,
                let search = try? LayoutSearch(
                    blueprint, hardware: hardware, devices: devices, globalBatch: training.globalBatch,
                    tokens: workload.tokens,
                    recipe: training.recipe), let best = search.run().fitting.first
            else { return nil }
            let seconds = best.time.seconds * steps
            return Chart.Point(x: Double(devices), y: seconds, label: readableSeconds(seconds))
        }
        return Chart.curve(
            "Time of the run against devices", points, .init(name: "devices", unit: ""), .init(name: "time", unit: "s"))
    }
}
