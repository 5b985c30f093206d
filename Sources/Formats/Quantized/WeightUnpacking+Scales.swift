internal import MartletJSON
internal import MartletTensors

extension WeightUnpacking {
    private static let float8 = ["F8_E4M3", "F8_E5M2"]

    /// `weight` in FP8 `[outputs, inputs]` times a scale: of the matrix, of each row, or of each block of rows and
    /// columns, as the extents of the scales say.
    func scaledBlocks(_ module: String, _ ending: String) -> StoredTensor? {
        guard let stored = part(module + ".weight", WeightUnpacking.float8, rank: 2),
            let scale = tensors[module + ending],
            ["F16", "BF16", "F32"].contains(scale.type.name), scale.elements > 0
        else { return nil }
        let (outputs, inputs) = (stored.extents[0], stored.extents[1])
        let extents = scale.extents.count == 2 ? scale.extents : [scale.elements, 1]
        guard extents[0] <= outputs, extents[1] <= inputs else { return nil }
        // Blocks are the smallest size with so many of them; the last ones may be cut.
        func size(_ whole: Int, _ count: Int) -> Int {
            count == 1 ? whole : [128, 64, 32, 16, 8, 4, 2, 1].first { (whole + $0 - 1) / $0 == count } ?? 0
        }
        let (rows, columns) = (size(outputs, extents[0]), size(inputs, extents[1]))
        guard rows > 0, columns > 0 else { return nil }
        // FP8 is computed in bf16 where nothing else is said.
        return derived(module, outputs, inputs, in: StoredType(.bf16), of: stored) { values throws(FormatError) in
            let (numbers, factors) = (try stored.numbers(), try scale.numbers())
            for index in values.indices {
                let place = index / inputs / rows * extents[1] + index % inputs / columns
                values[index] = numbers[index] * factors[place]
            }
        }
    }

    /// `weight` in int8 `[outputs, inputs]` times `SCB` / 127 of its row.
    func scaledRows(_ module: String) -> StoredTensor? {
        guard let stored = part(module + ".weight", ["I8"], rank: 2), let scale = scales(module + ".SCB", rank: 1),
            scale.extents[0] == stored.extents[0]
        else { return nil }
        let inputs = stored.extents[1]
        return derived(module, stored.extents[0], inputs, in: StoredType(.f16), of: stored) {
            values throws(FormatError) in
            let (numbers, factors) = (try stored.numbers(), try scale.numbers())
            for index in values.indices { values[index] = numbers[index] * factors[index / inputs] / 127 }
        }
    }

    /// compressed-tensors: integers packed in words, int8 or FP8, with a scale for each group of inputs, each row or
    /// the matrix.
    func compressed(_ module: String) -> StoredTensor? {
        if tensors[module + ".weight_packed"] == nil {
            return scaledBlocks(module, ".weight_scale") ?? scaledIntegers(module)
        }
        guard let packed = part(module + ".weight_packed", ["I32"], rank: 2),
            let shape = tensors[module + ".weight_shape"].flatMap({ try? $0.numbers() }), shape.count == 2,
            let scale = scales(module + ".weight_scale", rank: 2), tensors[module + ".weight_zero_point"] == nil,
            tensors[module + ".weight_g_idx"] == nil
        else { return nil }
        let (outputs, inputs) = (Int(shape[0]), Int(shape[1]))
        let (words, groups) = (packed.extents[1], scale.extents[1])
        guard packed.extents[0] == outputs, scale.extents[0] == outputs, inputs > 0, inputs % groups == 0,
            let bits = [4, 8].first(where: { (inputs + 32 / $0 - 1) / (32 / $0) == words })
        else { return nil }
        return derived(module, outputs, inputs, in: scale.type, of: packed) { values throws(FormatError) in
            let (stored, factors) = (packed.words, try scale.numbers())
            let (perWord, mask, middle) = (32 / bits, UInt32.max >> UInt32(32 - bits), 1 << (bits - 1))
            for index in values.indices {
                let (row, column) = (index / inputs, index % inputs)
                let word = stored[row * words + column / perWord]
                let q = Int(word >> UInt32(column % perWord * bits) & mask) - middle
                values[index] = Float(q) * factors[row * groups + column / (inputs / groups)]
            }
        }
    }

    private func scaledIntegers(_ module: String) -> StoredTensor? {
        guard let stored = part(module + ".weight", ["I8"], rank: 2), let scale = tensors[module + ".weight_scale"],
            ["F16", "BF16", "F32"].contains(scale.type.name), tensors[module + ".weight_zero_point"] == nil
        else { return nil }
        let (outputs, inputs) = (stored.extents[0], stored.extents[1])
        guard scale.elements == 1 || scale.elements == outputs else { return nil }
        return derived(module, outputs, inputs, in: scale.type, of: stored) { values throws(FormatError) in
            let (numbers, factors) = (try stored.numbers(), try scale.numbers())
            for index in values.indices {
                values[index] = numbers[index] * factors[factors.count == 1 ? 0 : index / inputs]
            }
        }
    }

    // MARK: - bitsandbytes' four bits

    /// The tensor with the settings of a packed matrix, whose name says which codebook it is.
    func states(_ module: String) -> [String] {
        ["nf4", "fp4"].map { "\(module).weight.quant_state.bitsandbytes__\($0)" }.filter { tensors[$0] != nil }
    }

    /// Two indices to a byte, the first in the upper half, of a codebook of 16 numbers times the largest of each block;
    /// those may be packed likewise, in bytes with a codebook of 256 and a mean that was taken off.
    func codebook(_ module: String) -> StoredTensor? {
        guard let packed = tensors[module + ".weight"], packed.type.name == "U8",
            let name = states(module).first, let state = tensors[name],
            let settings = (try? JSON(parsing: state.octets, as: .python))?.objectValue,
            let shape = settings["shape"]?.arrayValue?.compactMap(\.integerValue), shape.count == 2,
            let block = settings["blocksize"]?.integerValue, block > 0,
            let codes = part(module + ".weight.quant_map", ["F32"], rank: 1), codes.elements == 16,
            let largest = tensors[module + ".weight.absmax"]
        else { return nil }
        guard let elements = Shape.product(shape), elements > 0, packed.bytes == (elements + 1) / 2,
            largest.elements == (elements + block - 1) / block
        else { return nil }
        let types = ["float16": StoredType(.f16), "bfloat16": StoredType(.bf16), "float32": StoredType(.f32)]
        guard let type = types[settings["dtype"]?.stringValue ?? "bfloat16"],
            let scales = blockScales(module, largest, settings)
        else { return nil }
        return derived(module, shape[0], shape[1], in: type, of: packed) { values throws(FormatError) in
            let (bytes, table, factors) = (packed.octets, try codes.numbers(), try scales())
            for index in values.indices {
                let q = index.isMultiple(of: 2) ? bytes[index / 2] >> 4 : bytes[index / 2] & 15
                values[index] = table[Int(q)] * factors[index / block]
            }
        }
    }

    private func blockScales(
        _ module: String, _ largest: StoredTensor, _ settings: JSONObject
    ) -> (@Sendable () throws(FormatError) -> [Float])? {
        if largest.type.name == "F32" { return { () throws(FormatError) in try largest.numbers() } }
        guard largest.type.name == "U8", let codes = part(module + ".weight.nested_quant_map", ["F32"], rank: 1),
            codes.elements == 256, let outer = part(module + ".weight.nested_absmax", ["F32"], rank: 1),
            let block = settings["nested_blocksize"]?.integerValue, block > 0,
            let mean = settings["nested_offset"]?.doubleValue, outer.elements == (largest.elements + block - 1) / block
        else { return nil }
        return { () throws(FormatError) in
            let (bytes, table, factors) = (largest.octets, try codes.numbers(), try outer.numbers())
            return bytes.indices.map { table[Int(bytes[$0])] * factors[$0 / block] + Float(mean) }
        }
    }
}
