internal import MartletLayers

/// The optimizer, by the states that it keeps of every parameter, in bytes.
package enum Optimizer: String, Sendable, Hashable, Codable, CaseIterable {
    case adam, adam8bit, sgd, momentum, lion, adafactor, muon

    /// The size in bytes of the state for the parameters of one tensor.
    func stateBytes(_ tensor: ParameterTensor) -> Count {
        let elements = tensor.elements
        switch self {
        case .adam: return 8 * elements
        // Two 8-bit states and a 32-bit scale per block of 2048 each (arXiv:2110.02861); small tensors stay in 32 bits.
        case .adam8bit: return elements < 4096 ? 8 * elements : 2 * elements + (elements + 2047) / 2048 * 8
        case .sgd: return 0
        case .momentum, .lion: return 4 * elements
        // Row and column sums instead of a second moment (arXiv:1804.04235), without the first one.
        case .adafactor:
            guard tensor.shape.count >= 2, let columns = tensor.shape.last, columns > 0 else { return 4 * elements }
            let rows = elements / Count(columns)
            let outer = tensor.shape.dropLast(2).reduce(Count(1)) { $0 * Count($1) }
            return 4 * (rows + outer * Count(columns))
        // One momentum for hidden matrices, Adam for the rest (K. Jordan 2024).
        case .muon: return tensor.isMatrix && tensor.role != .head ? 4 * elements : 8 * elements
        }
    }
}

/// The precision of a training run: in which it keeps what, in bytes per parameter.
package struct TrainingPrecision: Sendable, Hashable {
    package var name: String
    package var weights: Int
    package var gradients: Int
    /// A copy of the weights in 32 bits; 0 when the weights are in 32 bits themselves.
    package var master: Int

    package init(name: String, weights: Int, gradients: Int, master: Int) {
        (self.name, self.weights, self.gradients, self.master) = (name, weights, gradients, master)
    }

    /// Weights and gradients in 32 bits: Martlet's own trainer.
    package static let single = TrainingPrecision(name: "32-bit", weights: 4, gradients: 4, master: 0)
    /// Mixed precision as ZeRO counts it, 2 + 2 + 4, which with Adam's 8 makes its 16 (arXiv:1910.02054).
    package static let mixed = TrainingPrecision(name: "ZeRO, 2+2+12", weights: 2, gradients: 2, master: 4)
    /// Mixed precision as Megatron has it, with 32-bit main gradients: 2 + 4 + 4, which with Adam's 8 makes its 18.
    package static let megatron = TrainingPrecision(name: "Megatron, 2+4+12", weights: 2, gradients: 4, master: 4)
    /// Mixed precision with 16-bit and 32-bit gradients kept side by side: 20 with Adam.
    package static let both = TrainingPrecision(name: "both gradients, 2+6+12", weights: 2, gradients: 6, master: 4)
}

/// The ZeRO stage (arXiv:1910.02054): how far the states are spread over data-parallel devices.
package enum ShardingStage: Int, Sendable, Hashable, Codable, CaseIterable {
    case none = 0
    /// Stage 1: optimizer states and master weights.
    case optimizer
    /// Stage 2: gradients too.
    case gradients
    /// Stage 3: weights too, FSDP's full sharding.
    case weights
}

/// Weights, gradients and optimizer states of one device, in bytes.
package struct ModelStates: Sendable, Hashable {
    package var weights: Double
    package var gradients: Double
    /// Master weights and the optimizer's states.
    package var optimizer: Double

    /// The sum of all states.
    package var bytes: Double { weights + gradients + optimizer }

    /// States for so many parameters on the device before sharding, with `stateBytes` per parameter of master copy and
    /// states.
    package init(
        parameters: Double, weightBytes: Double, gradientBytes: Double, stateBytes: Double, stage: ShardingStage,
        dataParallel: Int
    ) {
        let devices = Double(max(dataParallel, 1))
        func share(_ from: ShardingStage) -> Double { stage.rawValue >= from.rawValue ? devices : 1 }
        weights = parameters * weightBytes / share(.weights)
        gradients = parameters * gradientBytes / share(.gradients)
        optimizer = parameters * stateBytes / share(.optimizer)
    }

    package var quantity: Quantity {
        Quantity(
            bytes, .bytes,
            Formula(
                "memory.states", "weights + gradients + optimizer, each over its shards",
                convention: "ZeRO stage 1 shards optimizer, 2 also gradients, 3 also weights",
                source: "arXiv:1910.02054"),
            [.init("weights", weights), .init("gradients", gradients), .init("optimizer", optimizer)])
    }
}
