package import MartletFormats
package import MartletLayers
package import MartletTensors

/// A source of a model's weights when it is saved: a checkpoint, or a model that was trained.
package struct WeightSource {
    package let inventory: Inventory
    /// The name of a parameter's tensor in the file it came from; nil for a model that comes from none.
    package let storedName: (String) -> String?
    package let type: (String) -> ElementType
    package let tensor: (Inventory.Entry) throws -> Tensor
    /// The closure that lets the file's pages go, once a tensor is done with.
    package private(set) var release: (Inventory.Entry) -> Void

    /// The weights of a model; `progress` is told the share of them that has been written.
    package func reporting(_ progress: @escaping (Double) -> Void) -> WeightSource {
        var source = self
        let (release, total) = (release, Double(max(1, inventory.total)))
        var done = 0
        source.release = { entry in
            release(entry)
            done += entry.shape.elements
            progress(min(1, Double(done) / total))
        }
        return source
    }

    /// - Parameter keepsNames: whether the file to be written calls its tensors as the checkpoint does.
    package init(_ checkpoint: Checkpoint, _ inventory: Inventory, keepsNames: Bool, on device: Device) {
        self.inventory = inventory
        storedName = { keepsNames ? checkpoint.storedName($0) : nil }
        type = { checkpoint.type($0) ?? .f32 }
        release = { checkpoint.release($0.name) }
        tensor = { entry in
            if case .constant(let number) = entry.fill, checkpoint.storedName(entry.name) == nil {
                return Tensor(Array(repeating: number, count: entry.shape.elements), shape: entry.shape)
            }
            guard let tensor = try checkpoint.tensor(entry.name, shape: entry.shape, on: device) else {
                throw ModelError("the checkpoint has no \(entry.name)")
            }
            return tensor
        }
    }

    /// The source without some parameters.
    func keeping(_ isKept: (Inventory.Entry) -> Bool) -> WeightSource {
        WeightSource(
            inventory: Inventory(inventory.entries.filter(isKept)), storedName: storedName, type: type, tensor: tensor,
            release: release)
    }

    /// The source with the low-rank adapters that `source` has in their matrices, which become f32.
    func merging(_ source: any ParameterSource, on device: Device) -> WeightSource {
        var addends: [String: [LowRankAddend]] = [:]
        for entry in inventory.entries {
            let found = source.adapters(of: Parameter(entry, value: nil))
            if !found.isEmpty { addends[entry.name] = found.compactMap(\.addend) }
        }
        let (type, tensor) = (type, tensor)
        return WeightSource(
            inventory: inventory, storedName: storedName, type: { addends[$0] == nil ? type($0) : .f32 },
            tensor: { [addends] entry in
                let base = try tensor(entry)
                return addends[entry.name].map { base.merged(with: $0, on: device) } ?? base
            }, release: release)
    }

    private init(
        inventory: Inventory, storedName: @escaping (String) -> String?, type: @escaping (String) -> ElementType,
        tensor: @escaping (Inventory.Entry) throws -> Tensor, release: @escaping (Inventory.Entry) -> Void
    ) {
        (self.inventory, self.storedName, self.type) = (inventory, storedName, type)
        (self.tensor, self.release) = (tensor, release)
    }

    /// - Parameter values: by our names, as `Inventory` lists them.
    package init(_ inventory: Inventory, values: [String: Tensor]) {
        self.inventory = inventory
        storedName = { _ in nil }
        type = { values[$0]?.type ?? .f32 }
        release = { _ in }
        tensor = { entry in
            guard let tensor = values[entry.name] else { throw ModelError("there is no value of \(entry.name)") }
            return tensor
        }
    }

    /// - Parameter checkpoint: where the parameters come from that `values` lack, which a run has left as they were.
    package init(
        _ inventory: Inventory, values: [String: Tensor], else checkpoint: Checkpoint, on device: Device
    ) throws {
        var all = values
        for entry in inventory.entries where all[entry.name] == nil {
            all[entry.name] = try checkpoint.tensor(entry.name, shape: entry.shape, on: device)
        }
        self.init(inventory, values: all)
    }
}

/// The tensors of a file that is going to be written, and how each is made of ours: the inverse of what a
/// ``Checkpoint`` reads.
package struct WeightExport {
    /// A tensor of the file, and the parameters that it holds.
    struct Item {
        let planned: PlannedTensor
        let layout: WeightName.Layout
        /// Our parameters, in the order in which the file holds them.
        var parts: [Inventory.Entry]
    }

    /// The rounding of a tensor's numbers to its type in the file.
    ///
    /// - Parameter parts: ours, in the order of the file's rows.
    package typealias Rounding = (_ tensor: Tensor, _ planned: PlannedTensor, _ parts: [Inventory.Entry]) throws ->
        Tensor

    package typealias Content = (planned: PlannedTensor, parts: [Inventory.Entry])

    private let items: [Item]
    private let source: WeightSource
    private let device: Device
    /// The rounding of numbers to their types; nil for the reference's.
    private let rounding: Rounding?

    /// - Parameters:
    ///   - fullName: the name in the file of a parameter for which the table has this.
    ///   - type: the type in the file of a tensor of this shape with these parts, the first of which has the type
    ///     `own`.
    ///   - blocks: those of a tensor that is stored in blocks which are not computed with.
    /// - Throws: ``ModelError`` for parameters that the table does not list, or that cannot be stored as it says.
    package init(
        _ source: WeightSource, _ names: WeightNames, on device: Device, fullName: (Inventory.Entry, String) -> String,
        type: (_ name: String, _ shape: Shape, _ parts: [Inventory.Entry], _ own: ElementType) -> ElementType,
        blocks: (_ name: String, _ shape: Shape) -> WrittenBlocks? = { _, _ in nil }, rounding: Rounding? = nil
    ) throws(ModelError) {
        (self.source, self.device, self.rounding) = (source, device, rounding)
        items = try WeightExport.grouped(source.inventory, names, fullName: fullName).map { group in
            let blocks = blocks(group.name, group.shape)
            let type =
                blocks == nil ? type(group.name, group.shape, group.parts, source.type(group.parts[0].name)) : .f32
            return Item(
                planned: PlannedTensor(name: group.name, type: type, shape: group.shape, blocks: blocks),
                layout: group.layout,
                parts: group.parts)
        }
    }

    /// A tensor of a file, with the parameters that it holds in its order.
    package typealias Group = (name: String, layout: WeightName.Layout, shape: Shape, parts: [Inventory.Entry])

    /// The tensors of a file in the order of the inventory.
    ///
    /// - Throws: ``ModelError`` for parameters that the table does not list.
    package static func grouped(
        _ inventory: Inventory, _ names: WeightNames, fullName: (Inventory.Entry, String) -> String = { $1 }
    ) throws(ModelError) -> [Group] {
        var order: [String] = []
        var groups: [String: (layout: WeightName.Layout, parts: [Inventory.Entry])] = [:]
        for entry in inventory.entries {
            guard let name = names.resolve(entry.name) else {
                throw ModelError("this format has no name for \(entry.name): such a model cannot be written in it")
            }
            let full = fullName(entry, name.name)
            if groups[full] == nil { order.append(full) }
            groups[full, default: (name.layout, [])].parts.append(entry)
        }
        return order.compactMap { name in
            groups[name].map { layout, parts in
                let parts = WeightExport.sorted(parts, layout)
                return (name, layout, WeightExport.shape(parts, layout), parts)
            }
        }
    }

    package var plan: [PlannedTensor] { items.map(\.planned) }

    /// Each tensor with ours that it holds.
    package var contents: [Content] { items.map { ($0.planned, $0.parts) } }

    private static func sorted(_ parts: [Inventory.Entry], _ layout: WeightName.Layout) -> [Inventory.Entry] {
        switch layout {
        case .rows(let names, _), .transposedRows(let names):
            names.compactMap { name in parts.first { $0.name == name } }
        // Experts come in the order of their numbers.
        case .asStored, .transposed, .rotaryPairs, .stacked, .stackedRows, .plus: parts
        }
    }

    private static func shape(_ parts: [Inventory.Entry], _ layout: WeightName.Layout) -> Shape {
        var extents = parts[0].shape.array
        switch layout {
        case .asStored, .rotaryPairs, .plus: break
        case .stacked(_, _, let transposed): extents = [parts.count] + (transposed ? extents.reversed() : extents)
        case .stackedRows(let count, _, _, _, let transposed):
            extents[0] = parts.reduce(0) { $0 + $1.shape[0] } / count
            extents = [count] + (transposed ? extents.reversed() : extents)
        case .transposed: extents.reverse()
        case .rows: extents[0] = parts.reduce(0) { $0 + $1.shape[0] }
        case .transposedRows:
            extents[0] = parts.reduce(0) { $0 + $1.shape[0] }
            extents.reverse()
        }
        return Shape(extents)
    }

    /// Writes all tensors, one after another, so that no more than one of them is in memory; `first` are those that the
    /// writer's plan has before them.
    package func write(_ first: [Tensor] = [], to writer: consuming TensorFileWriter) throws {
        for tensor in first { try writer.write(tensor) }
        let byName = Dictionary(items.map { ($0.planned.name, $0) }) { first, _ in first }
        for planned in writer.plan.dropFirst(first.count) {
            guard let item = byName[planned.name] else { continue }
            let tensor = try tensor(item)
            if let blocks = planned.blocks {
                try writer.write(encoded: blocks.encoded(tensor, on: device))
            } else {
                try writer.write(tensor)
            }
            for part in item.parts { source.release(part) }
        }
        try writer.finish()
    }

    /// The single numbers that stand under a name that `isNumber` knows, in the order of the inventory.
    func numbers(where isNumber: (String) -> Bool) throws -> [(name: String, value: Float)] {
        try items.filter { isNumber($0.planned.name) }.map { item in
            (item.planned.name, try tensor(item).decoded(on: device).values.first ?? 0)
        }
    }

    private func tensor(_ item: Item) throws -> Tensor {
        let parts = try item.parts.map { try source.tensor($0) }
        let type = item.planned.type
        let tensor =
            switch item.layout {
            case .asStored: parts[0]
            case .rotaryPairs(let headWidth): parts[0].pairedRows(headWidth: headWidth, on: device)
            case .plus(let addend):
                Tensor(parts[0].decoded(on: device).values.map { $0 + addend }, shape: parts[0].shape)
            case .stacked(let count, _, let transposed):
                stacked(parts, count: count, groups: 1, transposed: transposed).reshaped(item.planned.shape)
            case .stackedRows(let count, _, _, let groups, let transposed):
                stacked(parts, count: count, groups: groups, transposed: transposed).reshaped(item.planned.shape)
            case .rows(_, let groups): Tensor.joined(rowsOf: uniform(parts), groups: groups)
            case .transposed, .transposedRows:
                transposed(
                    Tensor.joined(rowsOf: uniform(parts.map { $0.type.isBlockQuantized ? $0.decoded(on: device) : $0 }))
                )
            }
        return try rounding?(tensor, item.planned, item.parts) ?? tensor.converted(to: type, on: device)
    }

    /// The stacked parts, of which every one of `count` tensors holds as many, one after the other, in `groups`.
    private func stacked(_ parts: [Tensor], count: Int, groups: Int, transposed: Bool) -> Tensor {
        let parts = uniform(parts)
        guard transposed || groups > 1 else { return Tensor.joined(rowsOf: parts) }
        let each = parts.count / count
        return Tensor.joined(
            rowsOf: (0..<count).map { index in
                let own = Tensor.joined(rowsOf: Array(parts[index * each..<(index + 1) * each]), groups: groups)
                return transposed ? self.transposed(own) : own
            })
    }

    /// Parts of one tensor may have been kept apart, in types of their own.
    private func uniform(_ parts: [Tensor]) -> [Tensor] {
        parts.allSatisfy { $0.type == parts[0].type } ? parts : parts.map { $0.decoded(on: device) }
    }

    private func transposed(_ tensor: Tensor) -> Tensor {
        tensor.shape.rank == 1 ? tensor : tensor.transposed(columns: 0..<tensor.shape[1], on: device)
    }
}
