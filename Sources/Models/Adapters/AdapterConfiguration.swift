package import MartletJSON

/// The configuration of an adapter, which its file says beside its tensors: the keys of peft's `adapter_config.json`.
package struct AdapterConfiguration: Sendable, Equatable {
    package var rank = 8
    package var alpha = 8.0
    /// Rank-stabilized scaling: true where the scale is α / √r (arXiv:2312.03732), not α / r.
    package var isRankStabilized = false
    /// The share of the inputs of A that become zero while it is trained.
    package var dropout = 0.0
    /// Ranks and alphas of modules whose path ends in the pattern.
    package var ranks: [(pattern: String, rank: Int)] = []
    package var alphas: [(pattern: String, alpha: Double)] = []
    /// The ends of module paths; empty: every linear layer but the heads.
    package var targets: [String] = []
    /// Whole modules that are trained and stored beside the factors.
    package var savedModules: [String] = []
    package var task: String?
    package var base: String?
    /// True where the base keeps `[inputs, outputs]`: GPT-2.
    package var isTransposed = false
    /// True where a token table that is trained whole stays tied to the head; else peft leaves the head as the base has
    /// it.
    package var keepsTies = false

    package init() {}

    package static func == (a: AdapterConfiguration, b: AdapterConfiguration) -> Bool {
        a.json.serialized() == b.json.serialized()
    }

    package func rank(of module: String) -> Int {
        ranks.first { AdapterConfiguration.matches(module, $0.pattern) }?.rank ?? rank
    }

    /// The factor of the low-rank product of a module.
    package func scale(of module: String, rank: Int) -> Float {
        let alpha = alphas.first { AdapterConfiguration.matches(module, $0.pattern) }?.alpha ?? alpha
        return Float(isRankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
    }

    package func isTarget(_ module: String) -> Bool {
        targets.isEmpty || targets.contains { AdapterConfiguration.matches(module, $0) }
    }

    /// Returns whether a path is the pattern, or ends in it behind a dot; behind `^`, whether it is all of the path.
    static func matches(_ module: String, _ pattern: String) -> Bool {
        if pattern.utf8.first == UInt8(ascii: "^") { return module.hasSameBytes(as: String(pattern.dropFirst())) }
        return module.hasSameBytes(as: pattern) || module.hasSuffix("." + pattern)
    }

    // MARK: - The file

    /// Keys that say nothing about what is computed, or whose tensors say it.
    private static let neutral = [
        "auto_mapping", "base_model_name_or_path", "bias", "exclude_modules", "fan_in_fan_out", "inference_mode",
        "layers_pattern", "layers_to_transform", "lora_dropout", "megatron_config",
        "megatron_core", "peft_type", "peft_version", "qalora_group_size", "revision", "target_modules", "task_type",
        "loftq_config", "eva_config", "corda_config",
    ]

    /// Ways to begin, by which peft changes the base: the factors fit that one, and it begins them anew as it loads.
    private static let startsOfOtherBases = ["pissa", "corda", "olora", "loftq", "lora_ga"]

    /// Settings that cannot be had of factors on the base as it is stored.
    private static func contradictions(_ config: JSONObject) -> [String] {
        var offences: [String] = []
        if let start = config["init_lora_weights"]?.stringValue,
            startsOfOtherBases.contains(where: { start.lowercased().hasPrefix($0) })
        {
            offences.append(
                "init_lora_weights is \(start), whose factors belong to a base that peft changes: save it with "
                    + "path_initial_model_for_weight_conversion")
        }
        for pattern in config["alpha_pattern"]?.objectValue?.keys ?? [] {
            let plain = pattern.utf8.first == UInt8(ascii: "^") ? String(pattern.dropFirst()) : pattern
            if plain.utf8.contains(where: { #"^$*+?[](){}|\"#.utf8.contains($0) }) {
                offences.append(
                    "alpha_pattern has the regular expression \(pattern.quoted): name the modules one by one")
            }
        }
        return offences
    }

    /// - Throws: ``ModelError`` with every setting that is not understood.
    init(_ config: JSONObject, path: String) throws(ModelError) {
        var offences: [String] = []
        func isNeutral(_ value: JSON) -> Bool {
            value.isNull || value.boolValue == false || value.arrayValue?.isEmpty == true
                || value.objectValue?.isEmpty == true
        }
        if config["peft_type"]?.stringValue?.hasSameBytes(as: "LORA") != true {
            offences.append("peft_type is \(config["peft_type"]?.text() ?? "missing"), only LORA is read")
        }
        if let bias = config["bias"]?.stringValue, bias != "none" { offences.append("bias is \(bias), not none") }
        offences += AdapterConfiguration.contradictions(config)
        let known = [
            "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save", "init_lora_weights",
            "ensure_weight_tying",
        ]
        for (key, value) in config.members where !known.contains(key) && !AdapterConfiguration.neutral.contains(key) {
            if !isNeutral(value) { offences.append("\(key) is \(value.text().shortened), which is not supported") }
        }
        guard let rank = config["r"]?.integerValue, rank > 0, rank < 1 << 16,
            let alpha = config["lora_alpha"]?.doubleValue, alpha.isFinite
        else {
            offences.append("r and lora_alpha are needed")
            throw ModelError("\(path): this adapter cannot be used: \(offences.joined(separator: "; "))")
        }
        guard offences.isEmpty else {
            throw ModelError("\(path): this adapter cannot be used: \(offences.joined(separator: "; "))")
        }
        (self.rank, self.alpha) = (rank, alpha)
        dropout = config["lora_dropout"]?.doubleValue ?? 0
        isRankStabilized = config["use_rslora"]?.boolValue ?? false
        func pairs<Value>(_ key: String, _ read: (JSON) -> Value?) -> [(String, Value)] {
            (config[key]?.objectValue?.members ?? []).compactMap { key, value in read(value).map { (key, $0) } }
        }
        ranks = pairs("rank_pattern", \.integerValue).map { (pattern: $0, rank: $1) }
        alphas = pairs("alpha_pattern", \.doubleValue).map { (pattern: $0, alpha: $1) }
        targets = (config["target_modules"]?.arrayValue ?? []).compactMap(\.stringValue)
        savedModules = (config["modules_to_save"]?.arrayValue ?? []).compactMap(\.stringValue)
        task = config["task_type"]?.stringValue
        base = config["base_model_name_or_path"]?.stringValue
        isTransposed = config["fan_in_fan_out"]?.boolValue ?? false
        keepsTies = config["ensure_weight_tying"]?.boolValue ?? false
    }

    /// The configuration as peft writes it.
    package var json: JSON {
        func object(_ members: [(String, JSON)]) -> JSON {
            var object = JSONObject()
            for (key, value) in members { object[key] = value }
            return .object(object)
        }
        var members: [(String, JSON)] = [
            ("peft_type", "LORA"), ("task_type", task.map { .string($0) } ?? .null),
            ("base_model_name_or_path", base.map { .string($0) } ?? .null), ("inference_mode", true),
            ("r", .integer(rank)), ("lora_alpha", .number(alpha)), ("lora_dropout", .number(dropout)), ("bias", "none"),
            ("use_rslora", .bool(isRankStabilized)), ("use_dora", false), ("fan_in_fan_out", .bool(isTransposed)),
            ("target_modules", .array(targets.map { .string($0) })),
            ("rank_pattern", object(ranks.map { ($0.pattern, .integer($0.rank)) })),
            ("alpha_pattern", object(alphas.map { ($0.pattern, .number($0.alpha)) })),
            ("modules_to_save", savedModules.isEmpty ? .null : .array(savedModules.map { .string($0) })),
        ]
        if keepsTies { members.append(("ensure_weight_tying", true)) }
        return object(members)
    }
}
