internal import MartletJSON
package import MartletTensors

extension Safetensors {
    /// Begins a file of `plan`; the writer's ``TensorFileWriter/plan`` has the order of the format's own writer: wide
    /// elements first (so that all are aligned), then by name. The same tensors give the same bytes there and here.
    ///
    /// - Parameter alignment: the multiple at which the data begins, as everywhere where it is 8.
    /// - Throws: ``FormatError`` for names twice, the reserved name `__metadata__`, block-quantized types, or the
    ///   system's reason.
    package static func writer(
        for plan: [PlannedTensor], metadata: [(key: String, value: String)] = [], alignment: Int = 8, to path: String
    ) throws(FormatError) -> TensorFileWriter {
        let (header, ordered) = try layout(plan, metadata, alignment: alignment, path)
        return try TensorFileWriter.begin(path, header: header, plan: ordered, alignment: 1)
    }

    /// The first bytes of a file, and the order in which its tensors follow.
    static func layout(
        _ plan: [PlannedTensor], _ metadata: [(key: String, value: String)], alignment: Int = 8, _ path: String
    ) throws(FormatError) -> (header: [UInt8], ordered: [PlannedTensor]) {
        var offences = Offences()
        PlannedTensor.checkNames(plan, &offences)
        for planned in plan {
            if planned.name.hasSameBytes(as: metadataKey) { offences.add("the name \(metadataKey.quoted) is reserved") }
            if dtype(planned.type) == nil {
                offences.add(
                    "tensor \(planned.name.quoted) is \(planned.type.rawValue), which safetensors does not have")
            }
        }
        var keys: Set<ExactKey> = []
        for (key, _) in metadata where !keys.insert(ExactKey(key)).inserted {
            offences.add("the metadata key \(key.quoted) occurs twice")
        }
        let ordered = plan.sorted {
            (order($1.type), Array($0.name.utf8)) < (order($0.type), Array($1.name.utf8))
        }
        let header = header(ordered, metadata, alignment)
        if header.count - 8 > maximumHeaderBytes {
            offences.add("the header would take \(header.count - 8) bytes; at most \(maximumHeaderBytes) are allowed")
        }
        try offences.check(path, "cannot be written as safetensors")
        return (header, ordered)
    }

    /// Writes a file, whole or not at all.
    package static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)] = [], to path: String
    ) throws(FormatError) {
        let plan = tensors.map { PlannedTensor($0.name, $0.tensor) }
        try writer(for: plan, metadata: metadata, to: path).writeAll(tensors)
    }

    static let metadataKey = "__metadata__"

    /// The length and the header, padded with blanks so that the data begins at a multiple of `alignment`.
    private static func header(
        _ plan: [PlannedTensor], _ metadata: [(key: String, value: String)], _ alignment: Int
    ) -> [UInt8] {
        var object = JSONObject()
        if !metadata.isEmpty {
            var strings = JSONObject()
            for (key, value) in metadata { strings[key] = .string(value) }
            object[metadataKey] = .object(strings)
        }
        var offset = 0
        for planned in plan {
            object[planned.name] = [
                "dtype": .string(dtype(planned.type) ?? ""), "shape": .array(planned.shape.array.map(JSON.integer)),
                "data_offsets": [.integer(offset), .integer(offset + planned.bytes)],
            ]
            offset += planned.bytes
        }
        var text = JSON.object(object).serialized()
        let excess = (8 + text.count) % alignment
        text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: excess == 0 ? 0 : alignment - excess))
        return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
    }

    /// The format's name of a type; nil for block-quantized ones, which it does not have.
    private static func dtype(_ type: ElementType) -> String? { type.isBlockQuantized ? nil : StoredType(type).name }

    /// The place of a type in the format's own list of types.
    private static func order(_ type: ElementType) -> Int {
        switch type {
        case .f16: 0
        case .bf16: 1
        case .i32: 2
        default: 3
        }
    }
}

private func < (a: (Int, [UInt8]), b: (Int, [UInt8])) -> Bool {
    a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
}
