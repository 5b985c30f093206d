import MartletJSON
import MartletLayers
import MartletPlanning

extension Answer {
    static func aboutTime(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "mfu_percent", "mfu_percent_without_attention", "hfu_percent": return .number(try utilization(truth))
        case "percent_of_peak":
            return .number(100 * truth.number("achieved_tflops_per_gpu") / truth.number("peak_tflops"))
        case "iteration_seconds_predicted": return .number(try iteration(truth))
        case "days", "days_for_300B_tokens": return .number(try days(truth))
        case "energy_mwh": return .number(energy(truth) / 1000)
        case "energy_kwh": return .number(energy(truth))
        case "tco2eq":
            let carbon = Energy.carbon(
                kilowattHours: energy(truth), kilogramsPerKilowattHour: truth.number("kg_per_kwh"))
            return .number(carbon.amount / 1000)
        case "usd":
            return .number(
                Energy.money(deviceHours: hours(truth), dollarsPerHour: truth.number("usd_per_gpu_hour")).amount)
        case "mbu_percent":
            return .number(
                Utilization.ofBandwidth(
                    weightBytes: truth.number("weight_bytes"), cacheBytes: truth.number("kv_bytes"),
                    seconds: truth.number("tpot_s"), bandwidth: truth.number("peak_bytes_per_s")
                ).amount)
        case "achieved_GB_per_s":
            let read = try truth.blueprint.decodeBytes(.uniform(.bf16))
            return .number(read.amount * truth.number("tokens_per_s") / 1e9)
        case "ridge_flop_per_byte":
            return .number(
                Roofline.ridge(peak: truth.number("peak_flops"), bandwidth: truth.number("bandwidth")).amount)
        case "min_ms_per_token":
            let bound = Roofline(
                operations: 0, bytes: truth.number("weight_bytes"), peak: 1,
                bandwidth: truth.number("chips") * truth.number("bandwidth_per_chip"))
            return .number(bound.least.amount * 1000)
        case "expected_tokens_per_pass": return .number(speculation(truth).tokensPerPass.amount)
        case "ops_factor": return .number(speculation(truth).operationsFactor.amount)
        default: return nil
        }
    }

    private static func speculation(_ truth: GroundTruth) -> Speculation {
        Speculation(
            acceptance: truth.number("alpha"), guesses: truth.integer("gamma"), costRatio: truth.number("cost_ratio"))
    }

    private static func hours(_ truth: GroundTruth) -> Double {
        guard truth.given["gpu_hours"] == nil else { return truth.number("gpu_hours") }
        return Energy.deviceHours(
            operations: truth.number("train_flops"), achievedPerDevice: truth.number("achieved_tflops") * 1e12
        ).amount
    }

    private static func energy(_ truth: GroundTruth) -> Double {
        let watts = truth.given["gpu_watts"] == nil ? truth.number("watts") : truth.number("gpu_watts")
        return Energy.kilowattHours(deviceHours: hours(truth), watts: watts, pue: truth.number("pue")).amount
    }

    private static func utilization(_ truth: GroundTruth) throws -> Double {
        if truth.given["chips"] != nil {
            let parameters = Count(truth.number("parameters"))
            let perToken =
                truth.given["L"] == nil
                ? 6 * parameters
                : TrainingOperations.palmPerToken(
                    parameters: parameters, layers: truth.integer("L"), heads: truth.integer("H"),
                    headWidth: truth.integer("Q"), tokens: truth.integer("T")
                ).count ?? 0
            return Utilization.ofModel(
                operations: Double(perToken) * truth.number("tokens_per_s"), seconds: 1,
                devices: truth.integer("chips"),
                peak: truth.number("peak_flops")
            ).amount
        }
        if truth.given["flops_per_sequence"] != nil {
            return Utilization.ofModel(
                operations: truth.number("flops_per_sequence") * truth.number("sequences_per_iteration"),
                seconds: truth.number("iteration_s"), devices: 1, peak: truth.number("peak_tflops") * 1e12
            ).amount
        }
        let batch = truth.integer("global_batch")
        let shape = truth.megatron
        let ofHardware = truth.ask == "hfu_percent"
        let operations = ofHardware ? shape.selectiveIteration(batch: batch) : shape.modelIteration(batch: batch)
        return (ofHardware ? Utilization.ofHardware : Utilization.ofModel)(
            operations.amount, truth.number("iteration_s"), truth.integer("gpus"), truth.number("peak_flops")
        ).amount
    }

    private static func iteration(_ truth: GroundTruth) throws -> Double {
        let hardware = try HardwareTable.standard().device(named: truth.text("gpu"))
        let recipe = TrainingFootprint.Recipe(
            precision: .megatron, activations: Activations(elementBytes: 2, dropout: .present, kernel: .plain))
        let model = try IterationModel(
            truth.korthikanti, model: try ExecutionModel(hardware), recipe: recipe, tokens: truth.integer("seq"))
        // The paper runs one device's worth of the batch at once where there is no pipeline, and interleaves three
        // times where there is.
        let stages = truth.integer("pp")
        let selective = truth.text("recompute").hasPrefix("selective")
        let layout = ParallelLayout(
            tensor: truth.integer("tp"), pipeline: stages, data: truth.integer("dp"),
            sequenceParallel: selective ? .present : .absent,
            schedule: .alternating(interleave: stages > 1 ? 3 : 1), recomputation: selective ? .selective : .full,
            microBatch: stages > 1 ? 1 : truth.integer("global_batch"))
        return model.time(layout, globalBatch: truth.integer("global_batch"))?.seconds ?? .nan
    }

    private static func days(_ truth: GroundTruth) throws -> Double {
        if truth.given["tokens_per_s_per_gpu"] != nil {
            return Utilization.time(
                tokens: truth.number("tokens"), tokensPerSecondPerDevice: truth.number("tokens_per_s_per_gpu"),
                devices: truth.integer("gpus")
            ).amount / 86_400
        }
        let operations: Double
        if truth.ask == "days_for_300B_tokens" {
            operations =
                truth.megatron.recomputedIteration(batch: 1).amount / truth.number("seq") * truth.number("tokens")
        } else if truth.given["formula"] != nil {
            operations =
                TrainingOperations.eightND(parameters: truth.number("parameters"), tokens: truth.number("tokens"))
                .amount
        } else {
            operations =
                TrainingOperations.sixND(parameters: truth.number("parameters"), tokens: truth.number("tokens")).amount
        }
        let achieved = truth.given["achieved_tflops_per_gpu"] != nil
        return Utilization.time(
            operations: operations, devices: truth.integer("gpus"),
            peak: truth.number(achieved ? "achieved_tflops_per_gpu" : "peak_tflops") * 1e12,
            utilization: achieved ? 1 : truth.number("utilization")
        ).amount / 86_400
    }
}
