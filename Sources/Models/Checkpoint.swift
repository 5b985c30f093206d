package import MartletFormats
import MartletJSON
package import MartletLayers
package import MartletTensors

@_exported public import protocol MartletPlatform.MartletError

/// A checkpoint matched with the parameters that a model asks for: every one found, of the right shape.
package struct Checkpoint: Sendable {
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
        for name in wanted {
            if let prefix = prefixes.first(where: { tensors[$0 + name] != nil }) { return prefix }
        }
        for prefix in prefixes {
            for name in wanted.prefix(2) {
                let ending = prefix + name
                let stored = tensors.names.first { $0.hasSuffix("." + ending) && $0.utf8.count > ending.utf8.count }
                if let stored { return String(stored.dropLast(ending.count)) + prefix }
            }
        }
        return nil
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

/// The error of a checkpoint, with every parameter that a model asks for and the checkpoint does not hold as it should.
public struct CheckpointError: MartletError, Equatable {
    /// The checkpoint.
    public let path: String
    /// The missing tensors, which the model asks for and the checkpoint lacks.
    public internal(set) var missing: [String] = []
    /// The misshapen tensors, of another shape or type than the model asks for.
    public internal(set) var misshapen: [String] = []

    init(path: String) { self.path = path }

    var isEmpty: Bool { missing.isEmpty && misshapen.isEmpty }

    /// The remedy, where one is known.
    public var remedy: String? { "Use the config.json that belongs to these weights" }

    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] { missing + misshapen }

    /// The cause: what was found, and where.
    public var cause: String {
        func list(_ what: String, _ names: [String]) -> String? {
            guard !names.isEmpty else { return nil }
            let shown = names.prefix(12).joined(separator: "; ")
            return "\(names.count) \(what): \(shown)" + (names.count > 12 ? "; and \(names.count - 12) more" : "")
        }
        let parts = [list("missing", missing), list("of another shape or type", misshapen)]
        return "\(path): the tensors do not fit the configuration: " + parts.compactMap { $0 }.joined(separator: ". ")
    }
}

/// The size of a model's packed matrices.
package struct PackedWeights: Sendable {
    /// The size in bytes of all matrices, which one decode step reads.
    package private(set) var bytes = 0
    /// The share of ``bytes`` that is mapped from the cache of packed matrices.
    package private(set) var mappedBytes = 0
    /// Block-quantized elements that every row of a prompt multiplies by, so without the projection to the vocabulary;
    /// integer and float products run into different limits.
    package private(set) var quantizedElements = 0
    package private(set) var plainElements = 0
    /// The element types of all matrices.
    package private(set) var types: Set<ElementType> = []

    package init() {}

    fileprivate mutating func add(_ matrix: PackedMatrix, _ role: ParameterRole) {
        bytes += matrix.bytes
        types.insert(matrix.type)
        if matrix.storage.kind == .mapped { mappedBytes += matrix.bytes }
        guard ![.tokens, .head, .headTransform].contains(role) else { return }
        if matrix.type.isBlockQuantized {
            quantizedElements += matrix.outputs * matrix.inputs
        } else {
            plainElements += matrix.outputs * matrix.inputs
        }
    }
}

/// A source of parameters from a checkpoint that has been matched already.
package final class CheckpointSource: ParameterSource {
    private let checkpoint: Checkpoint
    private let device: Device
    /// The first tensor that the file would not give, after all: layers do not throw, so the loader asks when it is
    /// done.
    package private(set) var failure: FormatError?
    package private(set) var weights = PackedWeights()

    /// The element type that matrices of plain numbers are converted to for products; nil for what they are.
    private let matrices: ElementType?

    /// The queue in which matrices wait that the file has as they are; nil to pack each as it is asked for.
    private let queue: PackingQueue?

    /// The ranks that divide the matrices (tensor parallelism); nil where all are packed here.
    private let ranks: ProductRanks?

    /// The matrices that an earlier load packed; nil where none are kept.
    private let kept: PackedFile?
    /// The matrices that were packed here, by the names of their parameters.
    private(set) var packed: [(name: String, matrix: PackedMatrix)] = []

    /// - Parameter queue: packs the matrices that the file has as they are; run it before the model computes.
    package convenience init(
        _ checkpoint: Checkpoint, device: Device, matrices: ElementType? = nil, queue: PackingQueue? = nil,
        dividedAmong ranks: ProductRanks? = nil
    ) {
        self.init(checkpoint, device: device, matrices: matrices, queue: queue, dividedAmong: ranks, kept: nil)
    }

    init(
        _ checkpoint: Checkpoint, device: Device, matrices: ElementType?, queue: PackingQueue?,
        dividedAmong ranks: ProductRanks?, kept: PackedFile?
    ) {
        (self.checkpoint, self.device, self.matrices, self.queue) = (checkpoint, device, matrices, queue)
        (self.ranks, self.kept) = (ranks, kept)
    }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        do throws(FormatError) {
            let shape = description.shape
            // What is only multiplied by need not be made again from what the file has.
            if description.use.isMultiplied, checkpoint.makes(description.name), kept(description) != nil {
                return Parameter(description, value: nil)
            }
            var value = try checkpoint.tensor(description.name, shape: shape, on: device)
            if value == nil, case .constant(let number) = description.fill {
                value = Tensor(Array(repeating: number, count: shape.elements), shape: shape)
            }
            return Parameter(description, value: value)
        } catch {
            failure = failure ?? error
            return Parameter(description, value: nil)
        }
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? {
        if let matrix = kept(parameter.description) {
            weights.add(matrix, parameter.role)
            return matrix
        }
        guard let value = parameter.value else { return nil }
        let matrix = ranks?.packed(value, pack) ?? pack(value)
        weights.add(matrix, parameter.role)
        packed.append((parameter.name, matrix))
        return matrix
    }

    /// The matrix that is kept of a parameter `[outputs, …]`.
    private func kept(_ description: ParameterDescription) -> PackedMatrix? {
        guard let kept, description.shape.rank > 1, let stored = checkpoint.type(description.name) else { return nil }
        let (outputs, elements) = (description.shape[0], description.shape.elements)
        let inputs = outputs > 0 ? elements / outputs : 0
        return kept.matrix(
            description.name, outputs: outputs, inputs: inputs, type: wantedType(stored, inputs: inputs) ?? stored)
    }

    private func pack(_ value: Tensor) -> PackedMatrix {
        let type = wantedType(value.type, inputs: value.shape.width)
        // What was made for this is not to lie about until all is packed.
        let waits = value.storage.kind == .mapped
        if waits, let packed = queue?.add(value, as: type, on: device) { return packed }
        let matrix = PackedMatrix(value, as: type, on: device)
        value.storage.release(value.byteOffset..<value.byteOffset + value.bytes)
        return matrix
    }

    /// The type that a matrix of `type` is converted to; nil where it stays: blocks that the file has, and rows that
    /// would not fill blocks.
    private func wantedType(_ type: ElementType, inputs: Int) -> ElementType? {
        guard let matrices, !type.isBlockQuantized, inputs % matrices.blockElements == 0 else { return nil }
        return matrices
    }

    package func decoded(_ parameter: Parameter) -> Parameter {
        guard let value = parameter.value else { return parameter }
        return parameter.with(value.decoded(on: device))
    }
}

extension ParameterUse {
    /// True where the parameter is a matrix that rows are multiplied by, and nothing else.
    fileprivate var isMultiplied: Bool {
        switch self {
        case .multiplied, .routed: true
        case .lookedUp, .elementwise: false
        }
    }
}
