import MartletJSON
import MartletLayers
import MartletPlanning
import Testing

/// The plan as a whole: what is promised to scripts, what is refused, what is shown.
@Suite struct PlanTests {
    @Test func promisedKeysCarryUnitAndConvention() throws {
        var request = PlanRequest()
        (request.context, request.sequences) = (2048, 2)
        let plan = try Plan(Preset.model(named: "llama-3.2-1b"), request)
        let promised = [
            "parameters.total", "parameters.active", "parameters.non_embedding", "flops.forward", "flops.backward",
            "flops.prefill", "flops.decode_token", "memory.weights_bytes", "memory.kv_cache_bytes",
        ]
        for path in promised {
            let steps = path.split(separator: ".").map(String.init)
            let entry = try #require(plan.json[steps[0]]?[steps[1]], "\(path)")
            #expect(entry["value"]?.doubleValue ?? 0 > 0)
            for key in ["unit", "formula", "convention", "source", "derivation"] {
                #expect(entry[key]?.stringValue?.isEmpty == false, "\(path).\(key)")
            }
        }
        #expect(plan.json["memory"]?["kv_cache_bytes"]?["value"]?.integerValue == 2 * 16 * 8 * 64 * 2 * 2 * 2048)
        #expect(plan.text(explained: true).contains("Σ 2·elements·rows"))
    }

    @Test func everyProblemIsNamedAtOnce() throws {
        let configuration = try JSON(
            parsing:
                #"{"model_type": "whisper", "d_model": "wide", "encoder_layers": -1, "encoder_attention_heads": 0}"#)
        let error = #expect(throws: PlanningError.self) { try DescribedModel(configuration: configuration) }
        guard case .configuration(_, let problems) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problems.count == 4)
        #expect(problems.last?.contains("vocab_size = 51865") == true)
    }

    @Test func unknownNamesAreRefused() throws {
        let unknown = try JSON(parsing: #"{"model_type": "gpt5"}"#)
        #expect(throws: PlanningError.self) { try DescribedModel(configuration: unknown) }
        #expect(throws: PlanningError.self) { try DescribedModel(configuration: .null) }
        #expect(throws: PlanningError.self) { try Preset.model(named: "gpt-4") }
        #expect(throws: PlanningError.self) { try HardwareTable.standard().device(named: "H900") }
        let huge = try JSON(parsing: #"{"model_type": "llama", "num_hidden_layers": 2000000000}"#)
        #expect(throws: PlanningError.self) { try DescribedModel(configuration: huge) }
    }

    @Test func defaultsAndLeftoversAreListed() throws {
        let configuration = try JSON(
            parsing:
                #"{"model_type": "whisper", "d_model": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "novelty": 1}"#
        )
        let model = try DescribedModel(configuration: configuration)
        #expect(model.defaulted.contains("encoder_layers = 4"))
        #expect(model.ignored == ["novelty"])
    }

    /// Of a model that also sees, the language model is planned, and what is left out is named.
    @Test func whatSeesIsNamedAsLeftOut() throws {
        let text = #"{"model_type": "mistral", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "#
        let rest = #""num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100}"#
        let configuration = try JSON(
            parsing: #"{"model_type": "mistral3", "vision_config": {"hidden_size": 8}, "text_config": "# + text + rest
                + "}")
        let model = try DescribedModel(configuration: configuration)
        #expect(model.ignored.first == "vision_config")
    }

    @Test func everyFigureOfTheHardwareTableHasASourceAndADate() throws {
        let table = try HardwareTable.standard()
        #expect(table.devices.count > 30)
        for device in table.devices {
            for (field, figure) in device.figures {
                #expect(!figure.source.isEmpty && figure.date.hasPrefix("20"), "\(device.name) \(field.rawValue)")
            }
        }
        let own = #"{"devices": [{"name": "mine", "single_flops": 1e12, "bandwidth_bytes_per_second": 1e11}]}"#
        let added = try HardwareTable(reading: Array(own.utf8), name: "mine.json")
        #expect(try added.device(named: "MINE").figures[.bandwidth]?.source == "mine.json")
        let wrong = #"{"devices": [{"name": "mine", "speed": 3}]}"#
        #expect(throws: PlanningError.self) { try HardwareTable(reading: Array(wrong.utf8), name: "wrong.json") }
    }

    @Test func theBestLayoutFitsAndItsNeighboursAreExplained() throws {
        let blueprint = try Preset.model(named: "llama-2-7b").blueprint
        let hardware = try HardwareTable.standard().device(named: "a100")
        let recipe = TrainingFootprint.Recipe()
        let result = try LayoutSearch(
            blueprint, hardware: hardware, devices: 32, globalBatch: 256, tokens: 4096, recipe: recipe
        ).run()
        let best = try #require(result.fitting.first)
        #expect(best.bytes <= 0.95 * 80e9)
        #expect(best.layout.devices == 32)
        #expect(result.fitting.allSatisfy { $0.time.seconds >= best.time.seconds })
        #expect(!result.neighbours.isEmpty && result.neighbours.allSatisfy { !$0.reason.isEmpty })
        let memory = TrainingFootprint(
            blueprint, recipe: recipe, layout: best.layout, tokens: 4096,
            microBatches: best.layout.microBatches(globalBatch: 256) ?? 1)
        #expect(abs(memory.total.amount - best.bytes) < 1)
    }

    /// A text that no device can hold alone is shared by several.
    @Test func longTextsAreSplit() throws {
        let blueprint = try Preset.model(named: "llama-3-8b").blueprint
        let hardware = try HardwareTable.standard().device(named: "h100")
        let result = try LayoutSearch(
            blueprint, hardware: hardware, devices: 128, globalBatch: 8, tokens: 1 << 20
        ).run()
        let best = try #require(result.fitting.first)
        #expect(best.layout.context > 1 && best.layout.devices == 128)
        let short = try LayoutSearch(blueprint, hardware: hardware, devices: 16, globalBatch: 64, tokens: 4096).run()
        #expect(short.fitting.allSatisfy { $0.layout.context == 1 })
    }

    @Test func quantizedAdaptersTakeLess() throws {
        let blueprint = try Preset.model(named: "llama-2-7b").blueprint
        func bytes(_ adapters: Adapters?) -> Double {
            TrainingFootprint(
                blueprint, recipe: .init(adapters: adapters), layout: ParallelLayout(), tokens: 512, microBatches: 1
            ).total.amount
        }
        #expect(Adapters(rank: 8, roles: [.query, .value]).parameters(blueprint).count == 4_194_304)
        #expect(bytes(Adapters(rank: 8)) < bytes(nil) / 4)
        #expect(bytes(Adapters(rank: 8, base: .nf4)) < bytes(Adapters(rank: 8)) / 2)
    }

    @Test func thePageNeedsNothingElse() throws {
        var request = PlanRequest()
        request.hardware = try HardwareTable.standard().device(named: "h100")
        request.training = .init(tokens: 1e10, devices: 8, globalBatch: 64)
        let page = try Plan(Preset.model(named: "llama-3.2-1b"), request).page("llama", [("Command", "plan <x>")])
        #expect(page.contains("<svg") && page.contains("Roofline") && page.contains("against devices"))
        // Every chart has axes with units, and what stands in it stays in it.
        #expect(page.contains("FLOP/byte") && page.contains(">time (s)<") && page.contains("plan &lt;x&gt;"))
        #expect(page.contains("prefers-color-scheme: dark") && !page.contains("kv_cache_bytes"))
        #expect(!page.contains("<script") && !page.contains("src=") && !page.contains("href="))
    }

    /// llama.cpp's file type of a name, wherever there is one: Llama 2 70B in Q2_K takes 23.71 GiB.
    @Test func weightsByNameAreFileTypes() throws {
        let storage = try #require(WeightStorage(named: "Q2_K"))
        let bytes = try Preset.model(named: "llama-2-70b").blueprint.weightBytes(storage).amount
        #expect(abs(bytes / 0x1p30 - 23.71) < 0.005, "\(bytes / 0x1p30)")
        #expect(WeightStorage(named: "q4_K") == .mixed(.q4_K_M) && WeightStorage(named: "nf4") == .uniform(.nf4))
        #expect(WeightStorage(named: "Q9") == nil)
    }

    /// A pass back beside frozen matrices computes the gradients of their inputs alone.
    @Test func adaptersTakeTwoThirdsOfTheOperations() throws {
        func operations(_ adapters: Adapters?) throws -> Double {
            var request = PlanRequest()
            request.hardware = try HardwareTable.standard().device(named: "h100")
            var training = PlanRequest.Training(tokens: 1e9, devices: 8, globalBatch: 64)
            training.recipe.adapters = adapters
            request.training = training
            let plan = try Plan(Preset.model(named: "llama-3.2-1b"), request)
            let forward = try #require(plan["flops", "forward"]).amount
            let tokens = Double(plan.json["context"]?.integerValue ?? 1)
            return try #require(plan["training", "flops"]).amount / (forward / tokens * 1e9)
        }
        #expect(try abs(operations(nil) - 3) < 1e-9)
        #expect(try abs(operations(Adapters(rank: 8)) - 2) < 1e-9)
    }

    /// A device with several shards holds an array for each level of the tree that adds their gradients.
    @Test func shardsHoldLevelsOfATree() throws {
        let blueprint = try Preset.model(named: "llama-3.2-1b").blueprint
        func gradients(_ shards: Int) -> Double {
            TrainingFootprint(
                blueprint, recipe: .init(), layout: ParallelLayout(), tokens: 512, microBatches: 8, shards: shards
            ).gradients.amount
        }
        #expect(gradients(2) == 2 * gradients(1) && gradients(8) == 4 * gradients(1))
    }

    /// Frozen parameters have no gradients and no states, and their products take two passes of three.
    @Test func frozenPartsTakeLess() throws {
        let blueprint = try Preset.model(named: "llama-3.2-1b").blueprint
        func footprint(_ frozen: Set<ParameterRole>) -> TrainingFootprint {
            TrainingFootprint(
                blueprint, recipe: .init(frozen: frozen), layout: ParallelLayout(), tokens: 512, microBatches: 1)
        }
        let (whole, part) = (footprint([]), footprint([.tokens]))
        let tokens = Double(blueprint.tensors.filter { $0.role == .tokens }.reduce(0) { $0 + $1.elements })
        #expect(whole.weights.amount == part.weights.amount)
        #expect(whole.optimizer.amount - part.optimizer.amount == tokens * 12)
        #expect(TrainingFootprint.Recipe().passes(blueprint) == 3)
        #expect(TrainingFootprint.Recipe(frozen: Set(ParameterRole.allCases)).passes(blueprint) == 2)
        let matrices = TrainingFootprint.Recipe(frozen: [.gate, .up, .down]).passes(blueprint)
        #expect(matrices > 2.1 && matrices < 2.5, "\(matrices)")
    }

    /// The verdict stands at the top, with the nearest remedy, and recommends nothing that cannot be made.
    @Test func theVerdictNamesARemedy() throws {
        var request = PlanRequest()
        request.hardware = try HardwareTable.standard().device(named: "rtx4090")
        let small = try Plan(Preset.model(named: "llama-3.2-1b"), request)
        #expect(small.answer.first?.hasPrefix("fits on ") == true)
        let large = try Plan(Preset.model(named: "llama-2-13b"), request)
        #expect(large.answer.first?.hasPrefix("does not fit") == true)
        #expect(large.answer.first?.contains("; as Q8_0 it fits") == true, "\(large.answer)")
        #expect(FileType.recommended.allSatisfy { FileType.writable.contains($0) })
    }

    /// The language model of one that also sees is planned, however its weights are packed.
    @Test func theTextPartOfALargerModelIsPlanned() throws {
        let text =
            #"{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 101"#
        let alone = try DescribedModel(configuration: JSON(parsing: text + "}")).blueprint
        let packed = text + #", "quantization_config": {"quant_method": "gptq", "bits": 4}}"#
        let larger = #"{"model_type": "llava", "vision_config": {}, "text_config": "# + packed + "}"
        let planned = try DescribedModel(configuration: JSON(parsing: larger)).blueprint
        #expect(planned.modelType == "llama")
        #expect(ParameterCount(planned).total.count == ParameterCount(alone).total.count)
    }
}
