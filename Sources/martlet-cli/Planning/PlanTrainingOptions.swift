import ArgumentParser
import MartletLayers
import MartletPlanning

/// A training run on many devices, as far as `plan` asks about it.
struct PlanTrainingOptions: ParsableArguments {
    @Option(help: "Plan a training run over this many tokens, as 3e11.")
    var trainTokens: Double?

    @Option(help: "The number of devices.")
    var devices = 1

    @Option(help: "Sequences of one step (default: one per device).")
    var globalBatch: Int?

    @Option(help: "adam, adam8bit, sgd, momentum, lion, adafactor or muon.")
    var optimizer = "adam"

    @Option(help: "single (4+4), mixed (2+2 and a 32-bit copy), megatron (2+4 and a copy) or both (2+6 and a copy).")
    var precision = "mixed"

    @Option(help: "What attention keeps for the backward pass: flash or plain.")
    var attention = "flash"

    @Option(help: "Train low-rank adapters of this rank beside frozen weights.")
    var loraRank: Int?

    @Option(help: "The type of the frozen weights: bf16, or nf4 for QLoRA.")
    var loraBase = "bf16"

    @Option(
        help: "Freeze parts: tokens, embeddings, norms, or roles such as query or down, separated by commas."
    )
    var freeze: String?

    @Option(help: "USD per device hour (default: the device's, where it is known).")
    var price: Double?

    @Option(help: "kg CO2e per kWh (default: the published range).")
    var carbon: Double?

    @Flag(help: "Simulate the fastest layouts stage by stage, and show where their pipelines wait.")
    var simulate = false

    func validate() throws {
        if simulate && trainTokens == nil { throw ValidationError("--simulate needs --train-tokens, and devices.") }
        if let price, !(0...1e6).contains(price) {
            throw ValidationError("--price is \(price), but must be between 0 and 1000000.")
        }
        if let carbon, !(0...100).contains(carbon) {
            throw ValidationError("--carbon is \(carbon), but must be between 0 and 100.")
        }
        if let loraRank, !(1...65_536).contains(loraRank) {
            throw ValidationError("--lora-rank is \(loraRank), but must be between 1 and 65536.")
        }
        // What is said of a run that is not planned is still to be right.
        _ = try training(tokens: trainTokens ?? 1)
    }

    func request() throws -> PlanRequest.Training? { try trainTokens.map { try training(tokens: $0) } }

    private func training(tokens trainTokens: Double) throws -> PlanRequest.Training {
        let batch = globalBatch ?? devices
        guard (1...1 << 24).contains(devices), (1...1 << 24).contains(batch), trainTokens > 0, trainTokens.isFinite
        else {
            throw ValidationError(
                "--devices and --global-batch lie between 1 and \(1 << 24), and --train-tokens is positive")
        }
        var training = PlanRequest.Training(tokens: trainTokens, devices: devices, globalBatch: batch)
        let precisions = [
            "single": TrainingPrecision.single, "mixed": .mixed, "megatron": .megatron, "both": .both,
        ]
        guard let optimizer = Optimizer(rawValue: optimizer) else {
            throw ValidationError(
                "--optimizer \(self.optimizer) is not known; known are \(Optimizer.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        guard let precision = precisions[precision], let kernel = AttentionKernel(rawValue: attention),
            let base = StorageType(named: loraBase)
        else { throw ValidationError("--precision, --attention or --lora-base is none of the names that --help shows") }
        training.recipe = try .init(
            precision: precision, optimizer: optimizer,
            activations: Activations(elementBytes: precision.weights, kernel: kernel),
            adapters: loraRank.map { Adapters(rank: $0, base: base) }, frozen: frozen())
        (training.price, training.carbonIntensity, training.simulates) = (price, carbon, simulate)
        return training
    }

    private func frozen() throws -> Set<ParameterRole> {
        var roles: Set<ParameterRole> = []
        for word in (freeze ?? "").split(separator: ",").map(String.init) {
            switch word {
            case "embeddings": roles.formUnion([.tokens, .perLayerTokens, .positions, .segments, .stem])
            case "norms": roles.insert(.norm)
            default:
                guard let role = ParameterRole(rawValue: word) else {
                    let known = ParameterRole.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("--freeze \(word) is none of embeddings, norms, \(known)")
                }
                roles.insert(role)
            }
        }
        return roles
    }
}
