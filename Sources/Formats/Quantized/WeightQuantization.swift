package import MartletJSON

/// The quantization of a published checkpoint's matrices, as its config.json says: `quantization_config`, or MLX's
/// `quantization`.
///
/// They are unpacked when they are loaded, into the type of their scales.
package struct WeightQuantization: Sendable, Hashable {
    /// The quantization method, with what its format leaves to settings.
    enum Method: Sendable, Hashable {
        /// Integers along the inputs, several in a word, with scales and zeros for groups of inputs: GPTQ
        /// (arXiv:2210.17323). Zeros are stored less 1, except in its second format.
        case gptq(bits: Int, zeroShift: Int)
        /// Integers along the outputs, eight in a word in an order of their own: AWQ (arXiv:2306.00978), its "gemm"
        /// format.
        case awq
        /// Codebook indices of two to a byte with a scale for each block: NF4 and FP4 (arXiv:2305.14314).
        case bitsAndBytes4
        /// Int8 with a scale for each output (arXiv:2208.07339).
        case bitsAndBytes8
        /// Words of packed integers, int8, or FP8, each with scales: the formats of vLLM's compressed-tensors.
        case compressedTensors
        /// FP8 with a scale for each block of rows and columns, for each row, or for the matrix.
        case float8
        /// Words of packed integers with scales and lowest values for groups of inputs: MLX.
        case mlx(bits: Int, group: Int)
        /// FP4 in blocks of 32 with a power of two for each (OCP Microscaling): the stacked experts of gpt-oss.
        case microscaling4
    }

    let method: Method
    /// The method's name in the files.
    package let name: String

    /// Reads what `config` says of its weights; nil where they are not quantized.
    ///
    /// - Throws: ``FormatError`` naming a method that is not unpacked here.
    package init?(config: JSONObject, path: String) throws(FormatError) {
        guard let settings = config["quantization_config"]?.objectValue ?? config["quantization"]?.objectValue else {
            return nil
        }
        let method = settings["quant_method"]?.stringValue ?? (settings["group_size"] == nil ? "unnamed" : "mlx")
        func integer(_ key: String, _ absent: Int) -> Int { settings[key]?.integerValue ?? absent }
        func refusal(_ what: String) -> FormatError {
            FormatError(
                path: path, problem: "weights that cannot be unpacked", offences: [what],
                remedy: "Take the model's plain weights, or a GGUF of it")
        }
        name = method
        switch method {
        case "gptq":
            let bits = integer("bits", 4)
            guard [2, 4, 8].contains(bits) else { throw refusal("GPTQ with \(bits) bits") }
            let isSecond = settings["checkpoint_format"]?.stringValue == "gptq_v2"
            self.method = .gptq(bits: bits, zeroShift: isSecond ? 0 : 1)
        case "awq":
            let version = settings["version"]?.stringValue?.lowercased() ?? "gemm"
            guard version == "gemm", integer("bits", 4) == 4 else {
                throw refusal("AWQ of \(integer("bits", 4)) bits in its format \(version.quoted)")
            }
            self.method = .awq
        case "bitsandbytes":
            self.method = settings["load_in_8bit"]?.boolValue == true ? .bitsAndBytes8 : .bitsAndBytes4
        case "compressed-tensors": self.method = .compressedTensors
        case "fp8", "fbgemm_fp8": self.method = .float8
        case "mlx":
            let (bits, group) = (integer("bits", 4), integer("group_size", 64))
            guard [2, 4, 8].contains(bits), group > 0 else { throw refusal("MLX with \(bits) bits") }
            self.method = .mlx(bits: bits, group: group)
        case "mxfp4": self.method = .microscaling4
        default: throw refusal("they are quantized by \(method), which is not read here")
        }
    }
}

extension StoredTensors {
    /// The tensors with the matrices unpacked that `quantization` packed, under the names of plain checkpoints. What
    /// only helps to unpack is left out.
    ///
    /// - Throws: ``FormatError`` for parts that are missing or do not fit each other.
    package func unpacked(_ quantization: WeightQuantization) throws(FormatError) -> StoredTensors {
        if quantization.method == .microscaling4 { return try unpackedExperts() }
        let unpacking = WeightUnpacking(self)
        var offences = Offences()
        var (made, used): ([StoredTensor], Set<ExactKey>) = ([], [])
        for tensor in all {
            guard let module = quantization.module(of: tensor, self) else { continue }
            guard let result = unpacking.matrix(module, quantization.method) else {
                offences.add("the parts of \(module.quoted) do not fit each other, or one of them is missing")
                continue
            }
            made.append(result)
            for ending in WeightQuantization.endings { used.insert(ExactKey(module + ending)) }
            for name in unpacking.states(module) { used.insert(ExactKey(name)) }
        }
        try offences.check(path, "cannot unpack the weights that \(quantization.name) packed")
        let rest = all.filter { !used.contains(ExactKey($0.name)) }
        return try StoredTensors(unique: rest + made, path: path, files: files)
    }
}

extension WeightQuantization {
    /// The endings of the names of a packed matrix's parts, behind their module.
    static let endings = [
        ".weight", ".qweight", ".qzeros", ".scales", ".biases", ".g_idx", ".SCB", ".weight_format", ".weight_packed",
        ".weight_scale",
        ".weight_scale_inv", ".weight_shape", ".weight_zero_point", ".weight_g_idx", ".input_scale", ".output_scale",
        ".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map",
    ]

    /// The module whose packed matrix `tensor` is, by its name; nil for any other tensor.
    func module(of tensor: StoredTensor, _ tensors: StoredTensors) -> String? {
        func stem(_ ending: String) -> String? {
            tensor.name.hasSuffix(ending) ? String(tensor.name.dropLast(ending.count)) : nil
        }
        switch method {
        case .gptq, .awq: return stem(".qweight")
        case .bitsAndBytes4: return stem(".weight").flatMap { tensors[$0 + ".weight.absmax"] == nil ? nil : $0 }
        case .bitsAndBytes8: return stem(".weight").flatMap { tensors[$0 + ".SCB"] == nil ? nil : $0 }
        case .compressedTensors:
            return stem(".weight_packed") ?? stem(".weight").flatMap { tensors[$0 + ".weight_scale"] == nil ? nil : $0 }
        case .float8:
            return stem(".weight").flatMap { name in
                [".weight_scale_inv", ".weight_scale"].contains { tensors[name + $0] != nil } ? name : nil
            }
        case .mlx: return stem(".weight").flatMap { tensors[$0 + ".scales"] == nil ? nil : $0 }
        case .microscaling4: return nil
        }
    }
}
