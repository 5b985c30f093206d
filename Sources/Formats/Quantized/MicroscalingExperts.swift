internal import MartletJSON
internal import MartletTensors

/// The experts of one layer in MXFP4, as gpt-oss publishes them.
///
/// `NAME_blocks` `[experts, outputs, blocks, 16]` has two numbers to a byte, the first in the lower half; `NAME_scales`
/// `[experts, outputs, blocks]` the exponents of their blocks, plus 127. Each expert becomes a matrix `[outputs,
/// inputs]` in bf16, which holds such numbers exactly; gates and what passes them, which stand in turn, become two.
private struct MicroscalingExperts {
    let blocks, scales: StoredTensor
    let count, outputs, inputs: Int

    static let values: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]

    init?(_ blocks: StoredTensor, _ scales: StoredTensor?) {
        guard let scales, blocks.type.name == "U8", scales.type.name == "U8", blocks.extents.count == 4,
            blocks.extents[3] == 16, scales.extents == Array(blocks.extents.dropLast()), blocks.elements > 0
        else { return nil }
        (self.blocks, self.scales) = (blocks, scales)
        (count, outputs, inputs) = (blocks.extents[0], blocks.extents[1], blocks.extents[2] * 32)
    }

    /// The matrix of expert `expert` that has every `step`-th row from `first` on.
    func matrix(_ name: String, _ expert: Int, from first: Int, step: Int) -> StoredTensor {
        let (rows, inputs) = (outputs / step, inputs)
        let (rowBytes, rowScales) = (inputs / 2, inputs / 32)
        let (blocks, scales, start) = (blocks, scales, expert * outputs)
        return StoredTensor(
            name: name, type: StoredType(.bf16), extents: [rows, inputs],
            byteOffset: blocks.byteOffset + start * rowBytes, bytes: rows * rowBytes, storage: blocks.storage,
            path: blocks.path,
            derivation: { () throws(FormatError) in
                var numbers = [Float](repeating: 0, count: rows * inputs)
                for row in 0..<rows {
                    let source = start + first + row * step
                    for block in 0..<rowScales {
                        let exponent = Int(scales.octet(source * rowScales + block)) - 127
                        let factor = Float(sign: .plus, exponent: exponent, significand: 1)
                        for pair in 0..<16 {
                            let byte = blocks.octet(source * rowBytes + block * 16 + pair)
                            let place = row * inputs + block * 32 + pair * 2
                            numbers[place] = MicroscalingExperts.values[Int(byte & 15)] * factor
                            numbers[place + 1] = MicroscalingExperts.values[Int(byte >> 4)] * factor
                        }
                    }
                }
                return Tensor(numbers, shape: [rows, inputs]).converted(to: .bf16, on: Device(threads: 1))
            })
    }
}

extension StoredTensor {
    /// Byte `index` of the elements.
    fileprivate func octet(_ index: Int) -> UInt8 {
        unsafe (storage.pointer + byteOffset + index).load(as: UInt8.self)
    }
}

extension StoredTensors {
    /// The tensors with stacked experts in MXFP4 as matrices one by one: "experts.3.gate_proj.weight".
    ///
    /// - Throws: ``FormatError`` for parts that are missing or do not fit each other.
    func unpackedExperts() throws(FormatError) -> StoredTensors {
        let ending = "_blocks"
        var offences = Offences()
        var (made, used): ([StoredTensor], Set<ExactKey>) = ([], [])
        for tensor in all where tensor.name.hasSuffix(ending) {
            let module = String(tensor.name.dropLast(ending.count))
            guard let experts = MicroscalingExperts(tensor, self[module + "_scales"]) else {
                offences.add("the blocks and scales of \(module.quoted) do not fit each other")
                continue
            }
            used.formUnion([ExactKey(tensor.name), ExactKey(module + "_scales")])
            let parts = module.split(separator: ".", omittingEmptySubsequences: false)
            let (place, name) = (parts.dropLast().joined(separator: "."), String(parts.last ?? ""))
            let matrices = name == "gate_up_proj" ? ["gate_proj", "up_proj"] : [name]
            for expert in 0..<experts.count {
                for index in matrices.indices {
                    let full = "\(place).\(expert).\(matrices[index]).weight"
                    guard used.insert(ExactKey(full)).inserted else {
                        offences.add("\(full.quoted) would be there twice")
                        continue
                    }
                    made.append(experts.matrix(full, expert, from: index, step: matrices.count))
                }
            }
        }
        try offences.check(path, "cannot unpack the experts in MXFP4")
        let rest = all.filter { !used.contains(ExactKey($0.name)) }
        return try StoredTensors(unique: rest + made, path: path, files: files)
    }
}
