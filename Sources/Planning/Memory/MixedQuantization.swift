package import MartletLayers

/// The mixed quantization of a model: it chooses the block format of each tensor as llama.cpp does, before any file
/// exists.
///
/// Source: `llama_tensor_get_type` of llama.cpp (2025); verified against the sizes that its quantize table and
/// published files print. Norms, biases, routers and position tables stay in 32 bits (16 in files of plain types where
/// they are matrices).
package struct MixedQuantization {
    let fileType: FileType
    let isFalcon: Bool
    /// The size class that llama.cpp calls 70B: 80 layers of grouped-query attention.
    let isSeventyBillion: Bool
    /// The number of query heads per key-value head.
    let groups: Int
    let experts: Int
    let layers: Int
    let headIsTied: Bool
    /// True where the rounding is weighted by an importance matrix, which lets a few tensors have other types.
    let hasImportance: Bool

    package init(
        _ fileType: FileType, modelType: String, layers: Int, groups: Int, experts: Int, headIsTied: Bool,
        hasImportance: Bool
    ) {
        (self.fileType, self.layers, self.groups, self.experts) = (fileType, layers, groups, experts)
        (self.headIsTied, self.hasImportance) = (headIsTied, hasImportance)
        isFalcon = modelType == "falcon"
        isSeventyBillion = layers == 80 && (groups > 1 || modelType == "qwen2")
    }

    /// The rules for a model, by the numbers of its layers, heads and experts.
    package init(_ blueprint: Blueprint, _ fileType: FileType, hasImportance: Bool = false) {
        let layers = blueprint.stacks.flatMap(\.layers)
        let attention = layers.first?.attention
        let experts =
            layers.lazy.compactMap { layer in
                if case .experts(let count, _, _, _) = layer.feedForward { count } else { nil }
            }.first ?? 0
        self.init(
            fileType, modelType: blueprint.modelType, layers: layers.count,
            groups: attention.map { $0.queryHeads / max($0.keyHeads, 1) } ?? 1, experts: experts,
            headIsTied: blueprint.headIsTied, hasImportance: hasImportance)
    }

    /// The format of a tensor of a file.
    func type(of tensor: ParameterTensor) -> StorageType {
        let matrix = tensor.isMatrix || [.tokens, .perLayerTokens].contains(tensor.role)
        guard matrix, tensor.shape.count >= 2 else { return .f32 }
        if [.router, .positions, .segments, .relativePositions].contains(tensor.role) { return .f32 }
        return type(of: tensor.role, layer: tensor.layer ?? 0, row: tensor.shape.last ?? 1)
    }

    /// The format of a matrix by its role, the number of its layer and the length of its rows.
    package func type(of role: ParameterRole, layer: Int, row: Int) -> StorageType {
        if fileType.base.blockElements == 1 { return fileType.base }
        return fitting(wanted(role, layer), row: row)
    }

    /// A format whose blocks divide the row, where the wanted one's do not.
    package func fitting(_ type: StorageType, row: Int) -> StorageType {
        guard row % type.blockElements != 0 else { return type }
        let second: StorageType =
            switch type {
            case .q5_K: .q5_1
            case .q6_K: .q8_0
            case .q4_K: .q5_0
            case .q2_K, .q3_K, .tq1_0, .tq2_0: .q4_0
            default: type.blockElements == 256 ? .iq4_NL : .f16
            }
        return row % second.blockElements == 0 ? second : .f16
    }

    private func wanted(_ role: ParameterRole, _ layer: Int) -> StorageType {
        switch role {
        case .head: outputType
        case .tokens, .perLayerTokens: headIsTied ? outputType : tableType
        // Query, key and value in one matrix are treated as values.
        case .value, .queryKeyValue: valueType(layer)
        case .key: experts == 8 ? .q8_0 : queryKeyType
        case .query: queryKeyType
        case .output: attentionOutputType
        case .down: downType(layer)
        case .gate, .up, .gateUp:
            fileType == .iq3_XS && layer >= layers / 8 && layer < 7 * layers / 8 ? .iq3_XXS : fileType.base
        default: fileType.base
        }
    }

    /// The first and last eighth of the layers, and every third between.
    private func getsMoreBits(_ layer: Int) -> Bool {
        layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
    }

    private var outputType: StorageType {
        if isFalcon { return .q8_0 }
        if fileType.isVerySmall || fileType == .iq3_XXS { return .q5_K }
        return fileType.base == .q8_0 ? .q8_0 : .q6_K
    }

    private var tableType: StorageType {
        switch fileType {
        case .iq2_XXS, .iq2_XS, .iq1_S, .iq1_M: .q2_K
        case .iq2_S, .iq2_M, .iq3_XXS: .iq3_S
        case .tq1_0, .tq2_0: .q4_K
        default: fileType.base
        }
    }

    private func valueType(_ layer: Int) -> StorageType {
        if fileType.isVerySmall {
            return groups >= 4 || experts >= 4 ? .q4_K : [.iq2_S, .iq2_M].contains(fileType) ? .iq3_S : .q2_K
        }
        if experts == 8 { return .q8_0 }
        var type = fileType.base
        switch fileType {
        case .q2_K: type = groups >= 4 ? .q4_K : .q3_K
        case .q2_K_S where groups >= 4: type = .q4_K
        case .iq3_XXS: type = groups >= 4 ? .q4_K : .iq3_S
        case .iq3_XS where groups >= 4, .iq3_S where groups >= 4: type = .q4_K
        case .iq3_M: type = .q4_K
        case .q3_K_M: type = layer < 2 ? .q5_K : .q4_K
        case .q3_K_L: type = .q5_K
        case .iq4_NL where groups >= 4, .iq4_XS where groups >= 4: type = .q5_K
        case .q4_K_M where getsMoreBits(layer), .q5_K_M where getsMoreBits(layer): type = .q6_K
        case .q4_K_S where layer < 4: type = .q5_K
        default: break
        }
        if isSeventyBillion, type == .q3_K || type == .q4_K { type = .q5_K }
        return type
    }

    private var queryKeyType: StorageType {
        switch fileType {
        case .iq3_XS: .iq3_XXS
        case .iq3_XXS: .iq2_S
        default: fileType.base
        }
    }

    private var attentionOutputType: StorageType {
        if fileType.isVerySmall {
            if experts == 8 { return .q5_K }
            return [.iq2_S, .iq2_M].contains(fileType)
                ? .iq3_S : [.iq1_S, .iq1_M].contains(fileType) ? .iq2_XXS : fileType.base
        }
        if isFalcon { return fileType == .q3_K_L ? .q4_K : fileType.base }
        let raised: [FileType] = [
            .q2_K, .iq3_XS, .iq3_XXS, .q3_K_S, .q3_K_M, .iq4_NL, .q4_K_S, .q4_K_M, .iq3_S, .iq3_M, .iq4_XS,
        ]
        if experts == 8 { return raised.contains(fileType) ? .q5_K : fileType.base }
        switch fileType {
        case .q2_K: return .q3_K
        case .iq3_XXS: return .iq3_S
        case .q3_K_M, .iq3_M: return .q4_K
        case .q3_K_L: return .q5_K
        default: return fileType.base
        }
    }

    private func downType(_ layer: Int) -> StorageType {
        let first = layer < layers / 8
        if fileType.isVerySmall {
            return first ? ([.iq2_S, .iq2_M].contains(fileType) ? .iq3_S : .q2_K) : fileType.base
        }
        switch fileType {
        case .q2_K: return .q3_K
        case .q2_K_S where first: return .q4_K
        case .iq3_XXS where !hasImportance: return first ? .q4_K : .q3_K
        case .q3_K_M: return layer < layers / 16 ? .q5_K : !isFalcon || getsMoreBits(layer) ? .q4_K : .q3_K
        case .iq3_M where first || (experts == 8 && getsMoreBits(layer)): return .q4_K
        case .q3_K_L: return isFalcon ? .q4_K : .q5_K
        case .q4_K_M where isFalcon: return layer < layers / 16 ? .q6_K : getsMoreBits(layer) ? .q5_K : .q4_K
        case .q4_K_M where getsMoreBits(layer), .q5_K_M where getsMoreBits(layer): return .q6_K
        case .iq4_NL where first && !hasImportance, .iq4_XS where first && !hasImportance: return .q5_K
        case .q4_K_S where first && !isFalcon: return .q5_K
        case .q4_0 where first && hasImportance: return .q4_1
        case .q5_0 where first && hasImportance: return .q5_1
        default: return fileType.base
        }
    }
}
