internal import MartletLayers

extension Plan {
    /// The plan as a table for people; with `explained`, the derivation of every number below it.
    public func text(explained: Bool = false) -> String {
        var lines = [
            "\(blueprint.modelType): \(grouped(Count(workload.tokens))) tokens × \(workload.sequences), weights \(request.weights), cache \(request.cache.type.rawValue)"
        ]
        lines += answer.map { "  \($0)" } + [""]
        let width = sections.flatMap(\.entries).map { $0.key.utf8.count }.max() ?? 0
        for section in sections {
            lines.append(section.name)
            for entry in section.entries {
                let key = entry.key
                lines.append(
                    "  \(key)\(String(repeating: " ", count: width + 2 - key.utf8.count))\(entry.quantity.readable)")
                if explained { lines.append("    \(entry.quantity.derivation)") }
            }
            lines.append("")
        }
        lines += partLines + layoutLines + simulationLines
        lines.append("notes")
        lines += notes.map { "  \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    private var partLines: [String] {
        let count = ParameterCount(blueprint)
        let total = Double(count.total.count ?? 1)
        let rows = count.byRole.map { role, elements in
            "  \(role.rawValue): \(grouped(elements)), \(fixed(100 * Double(elements) / total, 2)) %"
        }
        return ["parameters by role"] + rows + [""]
    }

    private var layoutLines: [String] {
        guard let layouts, !layouts.fitting.isEmpty else { return [] }
        func line(_ candidate: LayoutSearch.Candidate) -> String {
            "  \(readableSeconds(candidate.time.seconds)), \(readableBytes(candidate.bytes)): \(candidate.layout.text)"
        }
        return ["layouts: \(layouts.fitting.count) of \(layouts.tried) fit; the fastest"]
            + layouts.fitting.prefix(5).map(line)
            + ["not dominated in time and memory"] + layouts.pareto.prefix(8).map(line)
            + ["one step from the best"] + layouts.neighbours.map { "  \($0.layout.text): \($0.reason)" }
            + (runnable.map { ["the fastest that martlet trains", line($0.candidate), "  " + $0.command] } ?? []) + [""]
    }

    private var simulationLines: [String] {
        guard let best = simulations.first else { return [] }
        let lines = simulations.map { found in
            let bubble = fixed(100 * found.pipeline.bubble, 1)
            return "  \(readableSeconds(found.seconds)), bubble \(bubble) %: \(found.layout.text)"
        }
        let last = best.pipeline.stages.count - 1
        let stages = Set([0, best.slowest, last]).sorted().map { "  " + best.pipeline.explanation(ofStage: $0) }
        return ["simulated"] + lines + ["where the first one waits"] + stages + [""]
    }

    /// The table of all tensors: name, shape, parameters, and bytes as the weights are asked to be stored.
    public var tensorTable: String {
        let rows: [(ParameterTensor, StorageType)] =
            switch request.weights {
            case .uniform(let type): blueprint.tensors.map { ($0, Blueprint.storageType(of: $0, wanted: type)) }
            case .stored(let types): blueprint.tensors.map { ($0, types[$0.name] ?? .f32) }
            case .mixed(let type):
                (try? QuantizedFile(blueprint, fileType: type))?.entries.map { ($0.tensor, $0.type) } ?? []
            }
        return rows.map { tensor, type in
            let shape = "[" + tensor.shape.map(String.init).joined(separator: ", ") + "]"
            return "\(tensor.name)\t\(shape)\t\(tensor.elements)\t\(type.rawValue)\t\(type.bytes(tensor.elements))"
        }.joined(separator: "\n") + "\n"
    }
}
