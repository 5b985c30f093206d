internal import MartletJSON
package import MartletTensors

extension GGUF {
    /// Begins a file of version 3 with `metadata` and the tensors of `plan`, in this order. Its alignment is the
    /// metadata's `general.alignment`, a uint32, or 32.
    ///
    /// - Throws: ``FormatError`` for names twice, names longer than ggml takes, a wrong alignment, or the system's
    ///   reason.
    package static func writer(
        for plan: [PlannedTensor], metadata: GGUFMetadata, to path: String
    ) throws(FormatError) -> TensorFileWriter {
        var offences = Offences()
        PlannedTensor.checkNames(plan, &offences)
        for planned in plan where planned.name.utf8.count > maximumNameBytes {
            offences.add("the name \(planned.name.quoted) is longer than \(maximumNameBytes) bytes")
        }
        let alignment = alignment(of: metadata, &offences)
        try offences.check(path, "cannot be written as GGUF")
        return try TensorFileWriter.begin(
            path, header: header(plan, metadata, alignment: alignment), plan: plan, alignment: alignment)
    }

    /// Writes a file, whole or not at all.
    package static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: GGUFMetadata, to path: String
    ) throws(FormatError) {
        let plan = tensors.map { PlannedTensor($0.name, $0.tensor) }
        try writer(for: plan, metadata: metadata, to: path).writeAll(tensors)
    }

    /// The alignment that `metadata` asks for.
    static func alignment(of metadata: GGUFMetadata, _ offences: inout Offences) -> Int {
        guard let value = metadata["general.alignment"] else { return defaultAlignment }
        if case .uint32(let number) = value, number.nonzeroBitCount == 1, number <= maximumAlignment {
            return Int(number)
        }
        offences.add(
            "general.alignment must be a uint32 and a power of two up to \(maximumAlignment); it is "
                + "\(value.json.text().shortened), \(value.words)")
        return defaultAlignment
    }

    /// The header of a file, everything before the data, padded to the alignment.
    private static func header(_ plan: [PlannedTensor], _ metadata: GGUFMetadata, alignment: Int) -> [UInt8] {
        var header = GGUFBytes()
        header.append(raw: magic)
        header.append(UInt32(3))
        header.append(UInt64(plan.count))
        header.append(UInt64(metadata.entries.count))
        for (key, value) in metadata.entries {
            header.append(key)
            header.append(value.kind.rawValue)
            header.append(value)
        }
        var offset = 0
        for planned in plan {
            header.append(planned.name)
            header.append(UInt32(planned.shape.rank))
            for extent in planned.shape.array.reversed() { header.append(UInt64(extent)) }
            header.append(planned.blocks?.number ?? GGMLTypes.number(of: planned.type))
            header.append(UInt64(offset))
            offset += (planned.bytes + alignment - 1) / alignment * alignment
        }
        header.pad(to: alignment)
        return header.bytes
    }
}
