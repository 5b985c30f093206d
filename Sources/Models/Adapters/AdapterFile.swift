import MartletFormats
import MartletJSON
package import MartletLayers
import MartletPlatform
package import MartletTensors

/// A low-rank adapter on disk: peft's directory, or MLX's.
///
///     adapter_config.json adapter_model.safetensors base_model.model.PATH.lora_A.weight [r, in], .lora_B.weight [out,
///     r] adapter_config.json adapters.safetensors PATH.lora_a [in, r], PATH.lora_b [r, out]
///
/// Sources: peft's `LoraConfig` and `get_peft_model_state_dict`; mlx-lm's `tuner`.
package struct AdapterFile: Sendable {
    package let path: String
    package let configuration: AdapterConfiguration
    /// The factor by which the scale that the file asks for is multiplied.
    package var strength: Float = 1
    private let tensors: StoredTensors
    /// MLX's scale; nil: the configuration's.
    private let scale: Float?

    /// Returns whether a directory is an adapter and no whole model.
    package static func isAdapter(_ directory: String) -> Bool {
        fileExists(directory + "/adapter_config.json") && !fileExists(directory + "/model.safetensors")
            && !fileExists(directory + "/model.safetensors.index.json")
    }

    /// - Throws: ``ModelError`` for settings that are not understood, ``FormatError``.
    package init(_ directory: String) throws {
        path = directory
        let name = directory + "/adapter_config.json"
        guard let config = try JSON(contentsOf: name).objectValue else {
            throw ModelError("\(name): not the settings of an adapter")
        }
        if fileExists(directory + "/adapter_model.safetensors") {
            tensors = try Safetensors(contentsOf: directory + "/adapter_model.safetensors").tensors
            (configuration, scale) = (try AdapterConfiguration(config, path: name), nil)
            return
        }
        tensors = try Safetensors(contentsOf: directory + "/adapters.safetensors").tensors
        guard config["fine_tune_type"]?.stringValue ?? "lora" == "lora",
            let factor = config["lora_parameters"]?["scale"]?.doubleValue
        else {
            throw ModelError("\(name): only LoRA of MLX is read, with its lora_parameters and their scale")
        }
        (configuration, scale) = (AdapterConfiguration(), Float(factor))
    }

    /// True where the file holds more than factors: a head, or other modules that were trained whole.
    package var hasWholeModules: Bool {
        tensors.names.contains { !AdapterFile.isFactor($0) }
    }

    private static func isFactor(_ name: String) -> Bool {
        ends.contains { name.hasSuffix($0.down) || name.hasSuffix($0.up) }
    }

    private static let front = "base_model.model."
    private static let ends: [(down: String, up: String, isTransposed: Bool)] = [
        (".lora_A.weight", ".lora_B.weight", false), (".lora_a", ".lora_b", true),
    ]

    /// The whole modules that the file holds, under the names of a checkpoint.
    func saved(over body: StoredTensors) throws(FormatError) -> StoredTensors {
        try body.overlaid(by: tensors) { name in
            guard !AdapterFile.isFactor(name) else { return nil }
            return name.hasPrefix(AdapterFile.front) ? String(name.dropFirst(AdapterFile.front.count)) : name
        }
    }

    /// Checks that a token table of its own does not part from a head that is tied to it.
    ///
    /// - Throws: ``ModelError``.
    func checkTies(_ architecture: Architecture, _ targets: AdapterTargets) throws(ModelError) {
        guard architecture.hasTiedHead, !configuration.keepsTies, let table = targets.path(of: "tokens.weight") else {
            return
        }
        let own = tensors.all.first { tensor in
            let front = tensor.name.hasPrefix(AdapterFile.front) ? AdapterFile.front.count : 0
            return targets.plain(String(tensor.name.dropFirst(front))).hasSameBytes(as: targets.plain(table))
        }
        // A head that it brings has the table's form, and the table's numbers, or the two would not be tied.
        guard let own else { return }
        guard !tensors.all.contains(where: { $0.name != own.name && $0.extents == own.extents }) else { return }
        throw ModelError(
            "\(path): the adapter has a token table of its own, but the head that is tied to it stays the base's: "
                + "train it with ensure_weight_tying, or save the head beside it")
    }

    /// The adapter's factors on the modules of a model.
    ///
    /// - Throws: ``ModelError`` with every tensor that fits no module, has no partner or another shape;
    ///   ``FormatError``.
    func read(_ targets: AdapterTargets, on device: Device) throws -> (layout: AdapterLayout, factors: [String: Tensor])
    {
        var (found, isTransposed) = pairs(targets)
        var offences: [String] = []
        var factors: [String: Tensor] = [:]
        let layout = targets.layout { module in
            guard let pair = found.removeValue(forKey: targets.plain(module.path)) else { return nil }
            guard let down = pair.down, let up = pair.up else {
                offences.append("\(module.path) has one factor of two")
                return nil
            }
            let rank = isTransposed ? down.extents.last ?? 0 : down.extents.first ?? 0
            let wanted = [[rank, module.inputs], [module.outputs, rank]].map { isTransposed ? $0.reversed() : $0 }
            guard down.extents == Array(wanted[0]), up.extents == Array(wanted[1]), rank > 0 else {
                offences.append(
                    "\(module.path) has factors of \(down.extents) and \(up.extents), where \(Array(wanted[0])) and \(Array(wanted[1])) are wanted"
                )
                return nil
            }
            let target = AdapterLayout.Target(
                module: module.path, inputs: module.inputs, outputs: module.outputs, rank: rank, scale: 1)
            do {
                factors[target.down] = try AdapterFile.factor(down, isTransposed, on: device)
                factors[target.up] = try AdapterFile.factor(up, isTransposed, on: device)
            } catch { offences.append("\(error)") }
            return (rank, strength * (scale ?? configuration.scale(of: module.path, rank: rank)))
        }
        offences += tensors.names.filter { $0.contains(".lora_") && !AdapterFile.isFactor($0) }.map {
            "\($0) is no factor of a linear layer"
        }
        offences += found.keys.sorted().map {
            "the model has no linear layer \($0.quoted) that an adapter can be put on"
        }
        guard offences.isEmpty, !layout.targets.isEmpty else {
            let more = offences.count > 12 ? "; and \(offences.count - 12) more" : ""
            throw ModelError(
                "\(path): the adapter does not fit the model: "
                    + (offences.isEmpty ? "it has no factors" : offences.prefix(12).joined(separator: "; ")) + more)
        }
        return (layout, factors)
    }

    /// The factors of each module, as far as they are here, by the plain name that `targets` have for it; and whether
    /// they are stored transposed.
    private func pairs(
        _ targets: AdapterTargets
    ) -> (found: [String: (down: StoredTensor?, up: StoredTensor?)], isTransposed: Bool) {
        var found: [String: (down: StoredTensor?, up: StoredTensor?)] = [:]
        var isTransposed = false
        for tensor in tensors.all {
            for end in AdapterFile.ends {
                let (isDown, isUp) = (tensor.name.hasSuffix(end.down), tensor.name.hasSuffix(end.up))
                guard isDown || isUp else { continue }
                let front = tensor.name.hasPrefix(AdapterFile.front) ? AdapterFile.front.count : 0
                let module = String(tensor.name.dropLast((isDown ? end.down : end.up).count).dropFirst(front))
                let key = targets.plain(module)
                if isDown {
                    found[key, default: (nil, nil)].down = tensor
                } else {
                    found[key, default: (nil, nil)].up = tensor
                }
                isTransposed = end.isTransposed
            }
        }
        return (found, isTransposed)
    }

    private static func factor(_ stored: StoredTensor, _ isTransposed: Bool, on device: Device) throws -> Tensor {
        let tensor = try stored.tensor()
        return (isTransposed ? tensor.transposed(columns: 0..<tensor.shape[1], on: device) : tensor).decoded(on: device)
    }

    // MARK: - Writing

    /// Writes factors and saved modules as peft does.
    ///
    /// - Parameters:
    ///   - factors: by the names of ``AdapterLayout/Target``.
    ///   - saved: whole modules under the names of transformers' class.
    package static func write(
        _ configuration: AdapterConfiguration, _ layout: AdapterLayout, factors: [String: Tensor],
        saved: [(name: String, tensor: Tensor)], in directory: String
    ) throws {
        var tensors: [(name: String, tensor: Tensor)] = []
        for target in layout.targets {
            guard let down = factors[target.down], let up = factors[target.up] else {
                throw ModelError("the adapter of \(target.module) has no factors")
            }
            tensors.append((front + target.module + ".lora_A.weight", down))
            tensors.append((front + target.module + ".lora_B.weight", up))
        }
        tensors += saved.map { (front + $0.name, $0.tensor) }
        try Safetensors.write(tensors, to: directory + "/adapter_model.safetensors")
        try writeFile(configuration.json.serialized(.pretty(indent: 2)), to: directory + "/adapter_config.json")
    }
}
