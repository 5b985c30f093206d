package import MartletFormats
import MartletJSON
package import MartletLayers
package import MartletTensors

/// A checkpoint matched with the parameters that a model asks for: every one found, of the right shape.
package struct Checkpoint: Sendable {
    /// The place of a parameter in the files.
    private struct Place: Sendable {
        let stored: StoredTensor
        let layout: WeightName.Layout
        /// Our rows among those that a fused tensor holds.
        let rows: Range<Int>
    }

    private let places: [ExactKey: Place]
    /// Tensors that the model does not need and that are not known to be needless either: passed over, as the reference
    /// does.
    package let unused: [String]

    /// - Parameters:
    ///   - inventory: what the model asks for.
    ///   - ignoring: names of tensors that may be there and are not needed; `#` stands for a number.
    /// - Throws: ``CheckpointError`` with every missing and misshapen tensor.
    package init(
        _ tensors: StoredTensors, _ names: WeightNames, prefixes: [String], inventory: Inventory, ignoring: [String]
    ) throws(CheckpointError) {
        let shapes = Dictionary(inventory.entries.map { ($0.name, $0.shape) }) { first, _ in first }
        let prefix = Checkpoint.prefix(tensors, names, prefixes, inventory)
        var error = CheckpointError(path: tensors.path)
        var used: Set<ExactKey> = []
        var places: [ExactKey: Place] = [:]
        for entry in inventory.entries {
            guard let name = Checkpoint.name(of: entry, names, tensors, prefix ?? "", shapes) else {
                error.missing.append("\(entry.name) (this family's table of names does not list it)")
                continue
            }
            // Heads stand beside the part of the model that has the prefix.
            let full = Checkpoint.spelling(of: name.name, prefix ?? prefixes.first ?? "", in: tensors)
            guard let stored = tensors[full] else {
                // Constants have a value of their own where a checkpoint says nothing.
                if entry.fill.isConstant { continue }
                error.missing.append(full)
                continue
            }
            used.insert(ExactKey(full))
            let (expected, rows) = Checkpoint.stored(entry, name.layout, shapes)
            if !Checkpoint.fits(stored.extents, expected, name.layout) {
                error.misshapen.append("\(full) is \(stored.extents), but the configuration asks for \(expected)")
            } else if !Checkpoint.canRead(stored.type, name.layout) {
                error.misshapen.append("\(full) has the type \(stored.type.name), which cannot be computed with here")
            } else {
                places[ExactKey(entry.name)] = Place(stored: stored, layout: name.layout, rows: rows)
            }
        }
        let allowed = Checkpoint.places(prefix ?? "").flatMap { place in ignoring.map { place + $0 } }
        guard error.isEmpty else { throw error }
        self.places = places
        unused = tensors.names.filter { name in
            !used.contains(ExactKey(name)) && !allowed.contains { Checkpoint.matches(name, $0) }
        }
    }

    /// The prefix before the names: one of `prefixes`, or what a wrapper put before them ("module.", "_orig_mod.").
    private static func prefix(
        _ tensors: StoredTensors, _ names: WeightNames, _ prefixes: [String], _ inventory: Inventory
    ) -> String? {
        let wanted = inventory.entries.prefix(64).compactMap { names.resolve($0.name)?.name }
        func found(_ prefix: String) -> Int { wanted.count { tensors[prefix + $0] != nil } }
        func best(_ prefixes: [String]) -> (prefix: String, count: Int)? {
            prefixes.map { ($0, found($0)) }.reduce(nil) { best, next in
                best.map { $0.1 < next.1 } ?? true ? next : best
            }
        }
        // Heads stand beside the part of the model that has the prefix.
        if let own = best(prefixes), own.count * 2 > wanted.count { return own.prefix }
        let wrapped = prefixes.flatMap { prefix in
            wanted.prefix(2).compactMap { name -> String? in
                let ending = prefix + name
                let stored = tensors.names.first { $0.hasSuffix("." + ending) && $0.utf8.count > ending.utf8.count }
                return stored.map { String($0.dropLast(ending.count)) + prefix }
            }
        }
        return best(prefixes + wrapped).flatMap { $0.count > 0 ? $0.prefix : nil }
    }

    /// The name of a parameter in the checkpoint. A token table that the head shares may be kept as the head.
    private static func name(
        of entry: Inventory.Entry, _ names: WeightNames, _ tensors: StoredTensors, _ prefix: String,
        _ shapes: [String: Shape]
    ) -> WeightName? {
        let name = names.resolve(entry.name)
        guard entry.name == "tokens.weight", shapes["head.weight"] == nil, let name,
            tensors[spelling(of: name.name, prefix, in: tensors)] == nil, let head = names.resolve("head.weight"),
            tensors[spelling(of: head.name, prefix, in: tensors)] != nil
        else { return name }
        return head
    }

    /// A matrix of one row may be kept as a vector: some converters of Qwen2-MoE's gate do.
    private static func fits(_ extents: [Int], _ expected: [Int], _ layout: WeightName.Layout) -> Bool {
        if layout == .asStored { return extents.drop { $0 == 1 } == expected.drop { $0 == 1 } }
        return extents == expected
    }

    /// The name under which the checkpoint has a tensor: with the prefix or without, with the last part as today or as
    /// TensorFlow wrote it.
    private static func spelling(of name: String, _ prefix: String, in tensors: StoredTensors) -> String {
        let places = places(prefix).map { $0 + name }
        var candidates = places
        for (ours, older) in [(".weight", ".gamma"), (".bias", ".beta")] where name.hasSuffix(ours) {
            candidates += places.map { $0.dropLast(ours.count) + older }
        }
        return candidates.first { tensors[$0] != nil } ?? prefix + name
    }

    /// The prefixes behind which a name may stand: the model's own, none, or that of a larger model beside it
    /// ("language_model.lm_head").
    private static func places(_ prefix: String) -> [String] {
        guard !prefix.isEmpty else { return [""] }
        let parts = prefix.split(separator: ".")
        let beside = parts.count > 1 ? [parts.dropLast().joined(separator: ".") + "."] : []
        return [prefix, ""] + beside
    }

    /// Blocks of quantized elements lie along a row, so that only whole rows can be moved.
    private static func canRead(_ type: StoredType, _ layout: WeightName.Layout) -> Bool {
        guard let type = type.loadedType, type != .i32 else { return false }
        return switch layout {
        case .transposed, .transposedRows, .stacked(_, _, true), .stackedRows(_, _, _, _, true): !type.isBlockQuantized
        case .asStored, .rows, .rotaryPairs, .stacked, .stackedRows, .plus: true
        }
    }

    /// The shape that the checkpoint should have for one of our parameters, and where ours begins in it.
    private static func stored(
        _ entry: Inventory.Entry, _ layout: WeightName.Layout, _ shapes: [String: Shape]
    ) -> ([Int], rows: Range<Int>) {
        func fused(_ parts: [String]) -> (extents: [Int], rows: Range<Int>) {
            let rows = parts.map { shapes[$0].map { $0[0] } ?? 0 }
            let first = rows.prefix(parts.firstIndex(of: entry.name) ?? 0).reduce(0, +)
            let extents = [rows.reduce(0, +)] + entry.shape.array.dropFirst()
            return (extents, first..<first + entry.shape[0])
        }
        let extents = entry.shape.array
        switch layout {
        case .asStored, .rotaryPairs, .plus: return (extents, 0..<(extents.first ?? 1))
        case .transposed: return (extents.reversed(), 0..<entry.shape[0])
        case .stacked(let count, _, let transposed):
            return ([count] + (transposed ? extents.reversed() : extents), 0..<entry.shape[0])
        case .stackedRows(let count, let parts, _, _, let transposed):
            let (extents, rows) = fused(parts)
            return ([count] + (transposed ? extents.reversed() : extents), rows)
        case .rows(let parts, _): return fused(parts)
        case .transposedRows(let parts):
            let (extents, rows) = fused(parts)
            return (extents.reversed(), rows)
        }
    }

    private static let dot = UInt8(ascii: ".")

    private static func matches(_ name: String, _ pattern: String) -> Bool {
        if pattern.utf8.last == UInt8(ascii: "*") { return name.utf8.starts(with: pattern.utf8.dropLast()) }
        let (parts, wanted) = (name.utf8.split(separator: dot), pattern.utf8.split(separator: dot))
        return parts.count == wanted.count
            && zip(parts, wanted).allSatisfy { part, wanted in
                wanted.elementsEqual("#".utf8) ? Int(Substring(part)) != nil : part.elementsEqual(wanted)
            }
    }

    /// The name of the file's tensor that holds the parameter `name`.
    package func storedName(_ name: String) -> String? { places[ExactKey(name)]?.stored.name }

    /// True where `tensor(_:shape:on:)` would make the parameter `name` of what the file has, and not look at it there.
    package func makes(_ name: String) -> Bool {
        guard let place = places[ExactKey(name)] else { return false }
        switch place.layout {
        case .asStored, .rows(of: _, groups: 1), .stacked(count: _, index: _, transposed: false):
            return place.stored.type.elementType == nil || place.stored.isDerived
        default: return true
        }
    }

    /// The type in which `tensor(_:shape:on:)` gives the parameter `name`.
    package func type(_ name: String) -> ElementType? {
        guard let place = places[ExactKey(name)] else { return nil }
        if case .plus = place.layout { return .f32 }
        return place.stored.type.loadedType
    }

    /// Tells the system that the file's tensor which holds the parameter `name` will not be read again soon.
    package func release(_ name: String) {
        guard let stored = places[ExactKey(name)]?.stored else { return }
        stored.storage.release(stored.byteOffset..<stored.byteOffset + stored.bytes)
    }

    /// The parameter `name` in our layout: a view of the file wherever the layouts agree.
    ///
    /// - Throws: ``FormatError`` when the file cannot give the tensor.
    package func tensor(_ name: String, shape: Shape, on device: Device) throws(FormatError) -> Tensor? {
        guard let place = places[ExactKey(name)] else { return nil }
        let stored = try place.stored.tensor(on: device)
        switch place.layout {
        case .asStored: return stored.reshaped(shape)
        case .rows(_, let groups): return stored.rows(place.rows, groups: groups, on: device)
        case .stacked(_, let index, let transposed):
            let part = stored.part(index)
            return transposed && shape.rank > 1
                ? part.transposed(columns: place.rows, on: device) : part.reshaped(shape)
        case .stackedRows(_, _, let index, let groups, let transposed):
            let part = stored.part(index)
            guard transposed && shape.rank > 1 else { return part.rows(place.rows, groups: groups, on: device) }
            return groups == 1
                ? part.transposed(columns: place.rows, on: device)
                : part.transposed(columns: 0..<part.shape[1], on: device).rows(place.rows, groups: groups, on: device)
        case .transposed, .transposedRows:
            return shape.rank == 1 ? stored.rows(place.rows) : stored.transposed(columns: place.rows, on: device)
        case .rotaryPairs(let headWidth): return stored.unpairedRows(headWidth: headWidth, on: device)
        case .plus(let addend):
            return Tensor(stored.decoded(on: device).values.map { $0 - addend }, shape: shape)
        }
    }
}

extension Tensor {
    /// Number `index` of the tensors that are stacked along the first axis.
    fileprivate func part(_ index: Int) -> Tensor {
        rows(index..<index + 1).reshaped(Shape(Array(shape.array.dropFirst())))
    }
}
