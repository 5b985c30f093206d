public import MartletJSON
internal import MartletLayers

extension Quantity {
    /// The quantity as an object: value, unit, formula, convention, source and inputs. A range also has its ends.
    public var json: JSON {
        var object = JSONObject()
        switch value {
        case .count(let count): object["value"] = JSON(count)
        case .measure(let measure): object["value"] = .number(measure)
        case .range(let low, let middle, let high):
            object["value"] = .number(middle)
            object["low"] = .number(low)
            object["high"] = .number(high)
        }
        object["unit"] = .string(unit.rawValue)
        object["formula"] = .string(formula.name)
        object["convention"] = .string(formula.convention)
        object["source"] = .string(formula.source)
        object["derivation"] = .string(derivation)
        return .object(object)
    }
}

extension JSON {
    /// A whole number; one that does not fit 64 bits is rounded to a floating-point number.
    fileprivate init(_ count: Count) {
        if let small = Int(exactly: count) { self = .integer(small) } else { self = .number(Double(count)) }
    }
}

extension Plan {
    /// The whole plan: one object per section, the tensors, the notes and the layouts.
    public var json: JSON {
        var object = JSONObject()
        object["model_type"] = .string(blueprint.modelType)
        object["context"] = .integer(workload.tokens)
        object["batch"] = .integer(workload.sequences)
        object["weights"] = .string(request.weights.description)
        object["cache"] = .string(request.cache.type.rawValue)
        if !answer.isEmpty { object["answer"] = .array(answer.map { .string($0) }) }
        for section in sections {
            var members = JSONObject()
            for entry in section.entries { members[entry.key] = entry.quantity.json }
            object[section.name] = .object(members)
        }
        var byTerm = JSONObject()
        for term in OperationTerm.allCases { if let count = terms[term] { byTerm[term.rawValue] = JSON(count) } }
        object["flops_by_term"] = .object(byTerm)
        object["tensors"] = .array(
            blueprint.tensors.map { tensor in
                var entry: JSONObject = JSONObject()
                entry["name"] = .string(tensor.name)
                entry["shape"] = .array(tensor.shape.map { .integer($0) })
                entry["parameters"] = JSON(tensor.elements)
                entry["role"] = .string(tensor.role.rawValue)
                return .object(entry)
            })
        if let layouts { object["layouts"] = layouts.json }
        if let runnable { object["train_command"] = .string(runnable.command) }
        if !simulations.isEmpty { object["simulations"] = .array(simulations.map(\.json)) }
        object["defaulted"] = .array(model.defaulted.map { .string($0) })
        object["ignored"] = .array(model.ignored.map { .string($0) })
        object["notes"] = .array(notes.map { .string($0) })
        return .object(object)
    }
}

extension SimulatedIteration {
    var json: JSON {
        func seconds(_ value: (PipelineSimulation.Stage) -> Double) -> JSON {
            .array(pipeline.stages.map { .number(value($0)) })
        }
        return [
            "layout": .string(layout.text), "iteration_seconds": .number(self.seconds),
            "bubble": .number(pipeline.bubble), "busy_seconds": seconds(\.busy),
            "seconds_before": seconds(\.before), "seconds_between": seconds(\.between),
            "seconds_after": seconds(\.after), "microbatches_in_flight": seconds(\.inFlight),
        ]
    }
}

extension LayoutSearch.Result {
    var json: JSON {
        func candidate(_ candidate: LayoutSearch.Candidate) -> JSON {
            [
                "layout": .string(candidate.layout.text), "tensor": .integer(candidate.layout.tensor),
                "pipeline": .integer(candidate.layout.pipeline), "data": .integer(candidate.layout.data),
                "expert": .integer(candidate.layout.expert), "micro_batch": .integer(candidate.layout.microBatch),
                "interleave": .integer(candidate.layout.schedule.interleave),
                "zero": .integer(candidate.layout.sharding.rawValue),
                "recompute": .string(candidate.layout.recomputation.rawValue),
                "iteration_seconds": .number(candidate.time.seconds), "device_bytes": .number(candidate.bytes),
            ]
        }
        return [
            "tried": .integer(tried), "too_large": .integer(tooLarge), "fitting": .integer(fitting.count),
            "best": .array(fitting.prefix(10).map(candidate)), "pareto": .array(pareto.map(candidate)),
            "neighbours": .array(neighbours.map { ["layout": .string($0.layout.text), "reason": .string($0.reason)] }),
        ]
    }
}
