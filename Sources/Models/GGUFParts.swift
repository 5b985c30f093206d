import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors

/// Parameters that a GGUF keeps otherwise than in one tensor: the slopes and constants of xIELU among its settings, and
/// the upward matrix of latent attention cut by heads into one of keys and one of values.
enum GGUFParts {
    /// The settings that hold one number for each layer, and how ``WeightNames`` call them: `KEY.LAYER`.
    private static let slopes = ["xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"]

    /// The tensors of `file`, and those that its parts make.
    ///
    /// - Throws: ``FormatError`` for a setting that is no list of numbers.
    static func tensors(of file: GGUF) throws(FormatError) -> StoredTensors {
        var derived: [StoredTensors.Derived] = []
        for key in slopes {
            for (layer, value) in (try file.metadata.floats(key) ?? []).enumerated() {
                derived.append((name: "\(key).\(layer)", extents: [1], make: { Tensor([value], shape: [1]) }))
            }
        }
        for keys in file.tensors.all {
            guard let joined = name(ofJoined: keys.name), let values = file.tensors[joined.values],
                let matrix = JoinedHeads(keys, values)
            else { continue }
            derived.append((name: joined.whole, extents: matrix.extents, make: matrix.tensor))
        }
        return try file.tensors.adding(derived)
    }

    private static func name(ofJoined keys: String) -> (values: String, whole: String)? {
        let ending = ".attn_k_b.weight"
        guard keys.hasPrefix("blk."), keys.hasSuffix(ending) else { return nil }
        let block = keys.dropLast(ending.count)
        return ("\(block).attn_v_b.weight", "\(block).attn_kv_b.weight")
    }

    /// Returns whether a parameter of this name stands among the settings of a GGUF.
    static func isSetting(_ name: String) -> Bool {
        slopes.contains { name.utf8.starts(with: ($0 + ".").utf8) }
    }

    /// The settings that `values`, by their names, make, each in the order of its layers.
    static func settings(_ values: [(name: String, value: Float)]) -> [(key: String, value: GGUFValue)] {
        slopes.compactMap { key -> (key: String, value: GGUFValue)? in
            let own = values.filter { $0.name.utf8.starts(with: (key + ".").utf8) }.map(\.value)
            return own.isEmpty ? nil : (key, .array(GGUFArray(own)))
        }
    }
}

/// Keys `[heads, narrow, width]` and values `[heads, width, narrow]` as one matrix `[heads · (widths), narrow]`.
private struct JoinedHeads: Sendable {
    private let keys, values: StoredTensor
    private let heads, narrow: Int
    let extents: [Int]

    init?(_ keys: StoredTensor, _ values: StoredTensor) {
        let (k, v) = (keys.extents, values.extents)
        guard k.count == 3, v.count == 3, k[0] == v[0], k[1] == v[2], let rows = Shape.product([k[0], k[2] + v[1]]),
            Shape.product([rows, k[1]]) != nil
        else { return nil }
        (self.keys, self.values, heads, narrow) = (keys, values, k[0], k[1])
        extents = [rows, narrow]
    }

    @Sendable func tensor() throws(FormatError) -> Tensor {
        let device = Device(threads: 1)
        let (keys, values) = try (keys.tensor().decoded(on: device), values.tensor().decoded(on: device))
        let (keyWidth, valueWidth) = (keys.shape[2], values.shape[1])
        var numbers: [Float] = []
        numbers.reserveCapacity(heads * (keyWidth + valueWidth) * narrow)
        let (k, v) = (keys.values, values.values)
        for head in 0..<heads {
            for row in 0..<keyWidth {
                for column in 0..<narrow { numbers.append(k[(head * narrow + column) * keyWidth + row]) }
            }
            numbers += v[head * valueWidth * narrow..<(head + 1) * valueWidth * narrow]
        }
        return Tensor(numbers, shape: Shape(extents))
    }
}
