import MartletFormats
import MartletLayers
import MartletTensors

extension ModelFile {
    /// Remarks on the parts of a model's files that are not taken as they are.
    package struct Remarks: Sendable {
        /// Keys and tensors that nobody reads; nil where there are none.
        package let unread: String?
        /// The packing of matrices in the file, and what they become, a line for each stored type.
        package let repacked: [String]

        package var lines: [String] { [unread].compactMap { $0 } + repacked }
    }

    /// - Throws: ``CheckpointError``, ``UnsupportedArchitecture``.
    package func remarks() throws -> Remarks {
        let unused = try checkpoint().unused
        func list(_ what: String, _ names: [String]) -> String? {
            guard !names.isEmpty else { return nil }
            let shown =
                names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
            return "\(names.count) \(what) passed over: \(shown)"
        }
        let unread = [list("settings", passedOver), list("tensors", unused)].compactMap { $0 }
        return Remarks(unread: unread.isEmpty ? nil : unread.joined(separator: "; "), repacked: repacking)
    }

    /// The repacking by stored type: how many tensors become what, and the bytes before and after.
    private var repacking: [String] {
        /// Tensors of one stored type: how many, and their bytes before and after.
        struct Group { var (count, stored, loaded) = (0, 0, 0) }
        var groups: [String: Group] = [:]
        for tensor in tensors.all {
            guard let type = tensor.type.loadedType, tensor.type.elementType == nil || quantization != nil,
                tensor.loadedBytes != tensor.bytes
            else { continue }
            let name = tensor.type.elementType == nil ? tensor.type.name : quantization?.name ?? tensor.type.name
            var group = groups["\(name) as \(type)"] ?? Group()
            group.count += 1
            group.stored += tensor.bytes
            group.loaded += tensor.loadedBytes
            groups["\(name) as \(type)"] = group
        }
        return groups.sorted { $0.key < $1.key }.map { name, group in
            "\(group.count) tensors are loaded from \(name): \(group.stored) bytes become \(group.loaded)"
        }
    }
}
