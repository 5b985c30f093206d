import MartletFormats
import MartletLayers

/// Experts as transformers 5 keeps them in memory, and as some of its checkpoints are: all of a layer in two tensors,
/// `gate_up_proj` `[experts, 2 · hidden, width]` and `down_proj` `[experts, width, hidden]`. Published checkpoints of
/// Qwen3-VL have each expert turned over; the reference tells them by their extents.
enum FusedExperts {
    /// Returns whether the checkpoint has such tensors.
    static func are(in tensors: StoredTensors) -> Bool {
        let end = Array(".mlp.experts.gate_up_proj".utf8)
        return tensors.names.contains { $0.utf8.suffix(end.count).elementsEqual(end) }
    }

    /// The names, where the checkpoint has such tensors; none otherwise.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        guard are(in: tensors) else { return [:] }
        guard case .decoder(let stack) = architecture.body else { return [:] }
        let form = stack.layers.lazy.compactMap { layer in
            if case .experts(let experts) = layer.feedForward { experts } else { nil }
        }.first
        guard let form else { return [:] }
        let end = "mlp.experts.gate_up_proj"
        let extents = tensors.all.first { $0.name.hasSuffix(end) }?.extents ?? []
        let isTurned = extents.count == 3 && extents[1] != 2 * form.hidden && extents[2] == 2 * form.hidden
        let expert = "decoder.#.feedForward.experts.##"
        let parts = ["\(expert).gate.weight", "\(expert).up.weight"]
        let fused = WeightName(
            "layers.#.mlp.experts.gate_up_proj", .stackedRows(count: form.count, of: parts, transposed: isTurned))
        return [
            "decoder.#.feedForward.router": "layers.#.mlp.gate",
            "decoder.#.feedForward.experts.##.gate.weight": fused,
            "decoder.#.feedForward.experts.##.up.weight": fused,
            "decoder.#.feedForward.experts.##.down.weight": WeightName(
                "layers.#.mlp.experts.down_proj", .stacked(count: form.count, transposed: isTurned)),
        ]
    }

    /// The names in checkpoints of experts one by one, behind `block`: Qwen's and DeepSeek's.
    static func oneByOne(_ block: String = "layers.#.mlp") -> WeightNames {
        let expert = "decoder.#.feedForward.experts.##"
        return [
            "decoder.#.feedForward.router": WeightName("\(block).gate"),
            "decoder.#.feedForward.router.correction": WeightName("\(block).gate.e_score_correction_bias"),
            "\(expert).gate": WeightName("\(block).experts.##.gate_proj"),
            "\(expert).up": WeightName("\(block).experts.##.up_proj"),
            "\(expert).down": WeightName("\(block).experts.##.down_proj"),
            "decoder.#.feedForward.shared.gate": WeightName("\(block).shared_experts.gate_proj"),
            "decoder.#.feedForward.shared.up": WeightName("\(block).shared_experts.up_proj"),
            "decoder.#.feedForward.shared.down": WeightName("\(block).shared_experts.down_proj"),
        ]
    }
}
