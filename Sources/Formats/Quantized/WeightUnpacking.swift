internal import MartletJSON
internal import MartletTensors

/// The unpacking of one checkpoint's matrices. Every result is a tensor that is computed when it is loaded.
struct WeightUnpacking {
    let tensors: StoredTensors

    init(_ tensors: StoredTensors) { self.tensors = tensors }

    /// The matrix `[outputs, inputs]` of a module; nil when its parts do not fit each other.
    func matrix(_ module: String, _ method: WeightQuantization.Method) -> StoredTensor? {
        switch method {
        case .gptq(let bits, let zeroShift): gptq(module, bits: bits, zeroShift: zeroShift)
        case .awq: awq(module)
        case .bitsAndBytes4: codebook(module)
        case .bitsAndBytes8: scaledRows(module)
        case .compressedTensors: compressed(module)
        case .float8: scaledBlocks(module, ".weight_scale_inv") ?? scaledBlocks(module, ".weight_scale")
        case .mlx(let bits, let group): mlx(module, bits: bits, group: group)
        case .microscaling4: nil
        }
    }

    /// A part of a matrix, when it is there, of one of these types and of this rank.
    func part(_ name: String, _ types: [String], rank: Int) -> StoredTensor? {
        guard let tensor = tensors[name], types.contains(tensor.type.name), tensor.extents.count == rank,
            tensor.elements > 0
        else { return nil }
        return tensor
    }

    /// Scales, of any floating-point type.
    func scales(_ name: String, rank: Int) -> StoredTensor? { part(name, ["F16", "BF16", "F32"], rank: rank) }

    /// The matrix `[outputs, inputs]` of `module` in the type of its scales, whose f32 elements `values` computes.
    func derived(
        _ module: String, _ outputs: Int, _ inputs: Int, in type: StoredType, of part: StoredTensor,
        _ values: @escaping @Sendable (_ values: inout [Float]) throws(FormatError) -> Void
    ) -> StoredTensor? {
        guard let elements = Shape.product([outputs, inputs]), elements > 0, let target = type.elementType else {
            return nil
        }
        return StoredTensor(
            name: module + ".weight", type: type, extents: [outputs, inputs], byteOffset: part.byteOffset,
            bytes: part.bytes,
            storage: part.storage, path: part.path,
            derivation: { () throws(FormatError) in
                var numbers = [Float](repeating: 0, count: elements)
                try values(&numbers)
                let tensor = Tensor(numbers, shape: [outputs, inputs])
                return target == .f32 ? tensor : tensor.converted(to: target, on: Device(threads: 1))
            })
    }

    // MARK: - Integers in words

    /// `qweight` `[inputs · bits / 32, outputs]`, `qzeros` `[groups, outputs · bits / 32]`, `scales` `[groups,
    /// outputs]`, and the group of each input where groups are not in order: (q − zero) · scale.
    private func gptq(_ module: String, bits: Int, zeroShift: Int) -> StoredTensor? {
        let perWord = 32 / bits
        guard let packed = part(module + ".qweight", ["I32"], rank: 2),
            let zeros = part(module + ".qzeros", ["I32"], rank: 2), let scales = scales(module + ".scales", rank: 2)
        else { return nil }
        let (inputs, outputs, groups) = (packed.extents[0] * perWord, packed.extents[1], scales.extents[0])
        let order = part(module + ".g_idx", ["I32"], rank: 1)
        guard scales.extents[1] == outputs, zeros.extents[0] == groups, zeros.extents[1] * perWord >= outputs,
            order.map({ $0.elements == inputs }) ?? (inputs % groups == 0)
        else { return nil }
        return derived(module, outputs, inputs, in: scales.type, of: packed) { values throws(FormatError) in
            let (words, zeroWords) = (packed.words, zeros.words)
            let factors = try scales.numbers()
            let group = order?.words.map { Int($0) } ?? (0..<inputs).map { $0 / (inputs / groups) }
            let mask = UInt32.max >> UInt32(32 - bits)
            for input in 0..<inputs where group[input] < groups {
                let shift = UInt32(input % perWord * bits)
                for output in 0..<outputs {
                    let q = Int(words[input / perWord * outputs + output] >> shift & mask)
                    let place = group[input] * (zeros.extents[1]) + output / perWord
                    let zero = Int(zeroWords[place] >> UInt32(output % perWord * bits) & mask) + zeroShift
                    values[output * inputs + input] = Float(q - zero) * factors[group[input] * outputs + output]
                }
            }
        }
    }

    /// The positions of the eight integers in a word of AWQ.
    private static let awqPlaces: [UInt32] = [0, 4, 1, 5, 2, 6, 3, 7]

    /// `qweight` `[inputs, outputs / 8]`, `qzeros` `[groups, outputs / 8]`, `scales` `[groups, outputs]`: (q − zero) ·
    /// scale.
    private func awq(_ module: String) -> StoredTensor? {
        guard let packed = part(module + ".qweight", ["I32"], rank: 2),
            let zeros = part(module + ".qzeros", ["I32"], rank: 2), let scales = scales(module + ".scales", rank: 2)
        else { return nil }
        let (inputs, outputs, groups) = (packed.extents[0], packed.extents[1] * 8, scales.extents[0])
        guard scales.extents[1] == outputs, zeros.extents == [groups, outputs / 8], inputs % groups == 0 else {
            return nil
        }
        return derived(module, outputs, inputs, in: scales.type, of: packed) { values throws(FormatError) in
            let (words, zeroWords) = (packed.words, zeros.words)
            let factors = try scales.numbers()
            for input in 0..<inputs {
                let group = input / (inputs / groups)
                for output in 0..<outputs {
                    let shift = 4 * WeightUnpacking.awqPlaces[output % 8]
                    let q = Int(words[input * (outputs / 8) + output / 8] >> shift & 15)
                    let zero = Int(zeroWords[group * (outputs / 8) + output / 8] >> shift & 15)
                    values[output * inputs + input] = Float(q - zero) * factors[group * outputs + output]
                }
            }
        }
    }

    /// `weight` `[outputs, inputs · bits / 32]`, `scales` and `biases` `[outputs, inputs / group]`: q · scale + bias.
    private func mlx(_ module: String, bits: Int, group: Int) -> StoredTensor? {
        let perWord = 32 / bits
        guard let packed = part(module + ".weight", ["U32"], rank: 2), let scales = scales(module + ".scales", rank: 2),
            let lowest = self.scales(module + ".biases", rank: 2)
        else { return nil }
        let (outputs, inputs) = (packed.extents[0], packed.extents[1] * perWord)
        guard scales.extents == [outputs, inputs / group], lowest.extents == scales.extents, inputs % group == 0 else {
            return nil
        }
        return derived(module, outputs, inputs, in: scales.type, of: packed) { values throws(FormatError) in
            let words = packed.words
            let (factors, shifts) = (try scales.numbers(), try lowest.numbers())
            let mask = UInt32.max >> UInt32(32 - bits)
            for index in values.indices {
                let place = index / inputs * (inputs / group) + index % inputs / group
                let q = words[index / perWord] >> UInt32(index % perWord * bits) & mask
                values[index] = Float(q) * factors[place] + shifts[place]
            }
        }
    }
}

extension StoredTensor {
    /// The elements of a type of 32 bits.
    var words: [UInt32] {
        (0..<bytes / 4).map { unsafe (storage.pointer + byteOffset + 4 * $0).loadUnaligned(as: UInt32.self) }
    }

    /// The elements of a type of 8 bits.
    var octets: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: storage.pointer + byteOffset, count: bytes)) }

    /// The elements in f32.
    func numbers() throws(FormatError) -> [Float] {
        let tensor = try tensor()
        return tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
    }
}
