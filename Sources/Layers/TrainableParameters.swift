package import MartletTensors

/// The parameters of a model that learns: f32 masters of those that are trained in a single memory, in the order of the
/// inventory, which is that of ``Gradients``; all others frozen, as their origin has them.
///
/// As a source it hands out tracked tensors; `untracked` hands out the same numbers for evaluation. An optimizer writes
/// the masters between two passes, and nothing is packed, so a model built from here always computes with what they are
/// now. What is frozen is a view of the origin's memory, such as a mapped file, of any type: it costs nothing beyond
/// that.
package final class TrainableParameters: ParameterSource {
    /// The parameters that are trained.
    package let entries: [Inventory.Entry]
    package let names: [String]
    package let shapes: [Shape]
    /// The start of each in the memory of all, in elements.
    package let offsets: [Int]
    package let count: Int
    package let device: Device
    package let operands: ElementType
    /// The factor by which the learning rate of each is multiplied.
    package let rateFactors: [Float]
    /// The elements of each that are in this rank's memory.
    package let held: [Range<Int>]
    /// The elements of each whose gradients this rank has.
    package let learnt: [Range<Int>]
    /// The ranks that divide the rows of a pass, and with them the gradients of matrices, by outputs.
    package let rowRanks: (any RowRanks)?
    /// The columns of this rank's inputs, for each matrix that ranks divide by its outputs.
    private let divisions: [Parameter.Division?]
    /// The ranks that divide experts, and the number of them in each layer that has some that learn.
    private let expertRanks: (any ExpertRanks)?
    private let expertCounts: [ParameterPlace: Int]
    private let storage: Storage
    private let places: [String: Int]
    /// Constants, which a checkpoint holds and training leaves alone.
    package let constants: [(name: String, tensor: Tensor)]
    private let frozen: [String: Tensor]
    private let layout: AdapterLayout
    /// The dropout of adapters' inputs in tracked passes.
    private let dropouts = AdapterDropouts()

    /// The selection of a model's parameters to train: which of them, at what rates, with which adapters.
    package struct Selection: Sendable {
        /// Returns whether a parameter of the model itself is trained; those of adapters always are.
        package var isTrained: @Sendable (Inventory.Entry) -> Bool = { _ in true }
        /// The factor by which the learning rate of a parameter is multiplied, by its name.
        package var rateFactor: @Sendable (_ name: String) -> Float = { _ in 1 }
        package var adapters = AdapterLayout.none

        package init() {}
    }

    /// - Parameters:
    ///   - inventory: of the model.
    ///   - origin: where the numbers come from: a seed, or a checkpoint.
    ///   - factors: where those of adapters come from; `origin` when nil.
    ///   - isHeld: whether passes of this rank read a trained parameter; others keep their places, without memory.
    ///   - ranks: the ranks that divide the trained matrices by their outputs; nil where each has them whole.
    ///   - expertRanks: the ranks that divide experts which learn; nil where each has all of them.
    ///   - rowRanks: the ranks that divide the rows of a pass; nil where each has all.
    ///   - operands: what layers multiply, f32 or bf16; the masters are f32 in any case.
    package init(
        _ inventory: Inventory, from origin: any ParameterSource, _ selection: Selection = .init(),
        factors: (any ParameterSource)? = nil, holding isHeld: (Inventory.Entry) -> Bool = { _ in true },
        dividedBy ranks: (any MatrixRanks)? = nil, expertsDividedBy expertRanks: (any ExpertRanks)? = nil,
        rowsDividedBy rowRanks: (any RowRanks)? = nil, operands: ElementType = .f32, on device: Device
    ) {
        (self.operands, self.device, layout) = (operands, device, selection.adapters)
        (self.expertRanks, self.rowRanks) = (expertRanks, rowRanks)
        let own = inventory.entries.filter { !$0.fill.isConstant && selection.isTrained($0) }
        let trained = own + selection.adapters.entries
        (entries, names, shapes) = (trained, trained.map(\.name), trained.map(\.shape))
        expertCounts = TrainableParameters.expertCounts(trained)
        rateFactors = names.map(selection.rateFactor)
        (offsets, count) = Gradients.layout(shapes)
        let shares = trained.map { entry in
            isHeld(entry) ? Share(entry, dividedBy: ranks, rowsDividedBy: rowRanks, on: device) : Share.none
        }
        (divisions, held, learnt) = (shares.map(\.division), shares.map(\.held), shares.map(\.learnt))
        storage = Storage(zeros: count * 4)
        places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        var constants: [(name: String, tensor: Tensor)] = []
        var frozen: [String: Tensor] = [:]
        let factorNames = Set(selection.adapters.entries.map(\.name))
        for entry in inventory.entries + selection.adapters.entries {
            let source = factorNames.contains(entry.name) ? factors ?? origin : origin
            if let place = places[entry.name], held[place].isEmpty { continue }
            guard let value = source.parameter(entry).value else { continue }
            if let place = places[entry.name] {
                let target = Tensor(
                    storage: storage, byteOffset: offsets[place] * 4, shape: entry.shape, type: .f32, device: device)
                let whole = value.decoded(on: device)
                target.elements(held[place]).overwrite(with: whole.elements(held[place]), adding: false)
                divisions[place]?.take(columnsOf: whole)
            } else if entry.fill.isConstant {
                constants.append((entry.name, value.decoded(on: device)))
            } else {
                frozen[entry.name] = value
            }
        }
        (self.constants, self.frozen) = (constants, frozen)
    }

    /// The numbers of parameter `index`; an optimizer may write them between two passes.
    package subscript(_ index: Int) -> Tensor {
        Tensor(storage: storage, byteOffset: offsets[index] * 4, shape: shapes[index], type: .f32, device: device)
    }

    /// The elements of parameter `index` in this rank's memory.
    package func own(_ index: Int) -> Tensor { self[index].elements(held[index]) }

    /// The division of parameter `index` among ranks; nil where it is whole, or elsewhere.
    package func division(_ index: Int) -> Parameter.Division? { divisions[index] }

    /// Returns whether ranks that compute a pass together learn a part of parameter `index` each.
    package func isDivided(_ index: Int) -> Bool {
        divisions[index] != nil
            || rowRanks.flatMap { entries[index].elements(ofPart: $0.rank, of: $0.count, dividingRows: true) } != nil
    }

    /// The share of a trained parameter that one rank has.
    private struct Share {
        /// The columns of a matrix that ranks are to divide: of layers, and of what tokens are read and guessed by. Nil
        /// for what each has whole.
        var division: Parameter.Division?
        /// The elements in this rank's memory.
        var held = 0..<0
        /// Parameters among them whose gradients this rank has.
        var learnt = 0..<0

        /// The share of a parameter that no pass of this rank reads.
        static let none = Share()

        private init() {}

        init(
            _ entry: Inventory.Entry, dividedBy ranks: (any MatrixRanks)?, rowsDividedBy rowRanks: (any RowRanks)?,
            on device: Device
        ) {
            held = 0..<entry.shape.elements
            if let ranks, entry.isDivided(among: ranks.count) {
                let columns = device.make([entry.shape[0], ranks.part(of: entry.shape[1]).count])
                let division = Parameter.Division(columns: columns, ranks: ranks)
                (self.division, held) = (division, division.held(entry.shape, of: ranks.rank))
            }
            learnt = held
            if let rowRanks, !held.isEmpty {
                learnt = entry.elements(ofPart: rowRanks.rank, of: rowRanks.count, dividingRows: true) ?? held
            }
        }
    }

    /// The number of experts in each layer of which some learn.
    private static func expertCounts(_ trained: [Inventory.Entry]) -> [ParameterPlace: Int] {
        var counts: [ParameterPlace: Int] = [:]
        for entry in trained where entry.expert != nil {
            if let place = entry.place, case .routed(_, let count) = entry.use { counts[place] = count }
        }
        return counts
    }

    package func experts(at place: ParameterPlace) -> ExpertDivision? { experts(at: place, isTracked: true) }

    private func experts(at place: ParameterPlace, isTracked: Bool) -> ExpertDivision? {
        guard let expertRanks, let count = expertCounts[place] else { return nil }
        return ExpertDivision(expertRanks, at: place, count: count, isTracked: isTracked)
    }

    /// The frozen parameters, left as their origin has them, by name, of whatever type: neither trained nor in a
    /// checkpoint. None where adapters are trained, whose base stays where it is.
    package var untouched: [(name: String, tensor: Tensor)] {
        layout.targets.isEmpty ? frozen.map { ($0, $1) }.sorted { $0.0 < $1.0 } : []
    }

    /// The share of an adapter's inputs that become zero in tracked passes from now on, and the seed of which.
    package func drop(adapterInputs share: Float, seed: UInt64) { dropouts.set(share: share, seed: seed) }

    /// The master weights of all parameters in one tensor, zeros in the gaps.
    package var all: Tensor { Tensor(storage: storage, shape: [count], type: .f32, device: device) }

    /// Gives the memory of elements `range` of all back to the system, until something is written there.
    package func discard(_ range: Range<Int>) { storage.discard(range.lowerBound * 4..<range.upperBound * 4) }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        guard let place = places[description.name] else {
            let constant = constants.first { $0.name == description.name }?.tensor
            return Parameter(description, value: constant ?? frozen[description.name])
        }
        let value = self[place].tracked(by: GradientNode(leaf: place, shapes[place]))
        return Parameter(description, value: value, division: divisions[place])
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? { nil }

    package func decoded(_ parameter: Parameter) -> Parameter {
        guard let value = parameter.value, value.type != .f32 || value.device == nil else { return parameter }
        return parameter.with(value.decoded(on: device))
    }

    package func adapters(of parameter: Parameter) -> [LowRankAdapter] {
        layout.adapters(of: parameter) { self.parameter($0) }.map { $0.dropping(by: dropouts) }
    }

    /// A source of the same numbers that nobody differentiates by.
    package var untracked: any ParameterSource { Untracked(self) }

    private final class Untracked: ParameterSource {
        private let parameters: TrainableParameters

        init(_ parameters: TrainableParameters) { self.parameters = parameters }

        func parameter(_ description: ParameterDescription) -> Parameter {
            let tracked = parameters.parameter(description)
            return tracked.with(tracked.value?.untracked)
        }
        var operands: ElementType { parameters.operands }
        var rowRanks: (any RowRanks)? { parameters.rowRanks }
        func experts(at place: ParameterPlace) -> ExpertDivision? { parameters.experts(at: place, isTracked: false) }
        func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
        func decoded(_ parameter: Parameter) -> Parameter { parameters.decoded(parameter) }
        func adapters(of parameter: Parameter) -> [LowRankAdapter] {
            parameters.layout.adapters(of: parameter) { self.parameter($0) }
        }
    }
}

extension ParameterDescription {
    /// Returns whether `ranks` divide a trained parameter: the matrices of layers, and of tokens, that are no narrower
    /// than ranks are many.
    package func isDivided(among ranks: Int) -> Bool {
        guard !fill.isConstant, role.cut != nil, shape.rank == 2, min(shape[0], shape[1]) >= ranks else { return false }
        return switch use {
        case .lookedUp, .multiplied, .routed: true
        case .elementwise: false
        }
    }

    /// The elements that part `part` of `count` ranks learns, where they divide a trained parameter; nil where each
    /// learns all of it.
    ///
    /// - Parameter dividesRows: whether the ranks divide rows: then an expert is one rank's, which computes it.
    package func elements(ofPart part: Int, of count: Int, dividingRows dividesRows: Bool) -> Range<Int>? {
        if dividesRows, let expert, case .routed(_, let experts) = use {
            let own = experts * part / count..<experts * (part + 1) / count
            return own.contains(expert) ? 0..<shape.elements : 0..<0
        }
        guard isDivided(among: count) else { return nil }
        return shape[0] * part / count * shape[1]..<shape[0] * (part + 1) / count * shape[1]
    }
}

extension Parameter.Division {
    /// The elements of a matrix of `shape` that are rank `rank`'s.
    package func held(_ shape: Shape, of rank: Int) -> Range<Int> {
        let rows = ranks.part(of: shape[0], rank: rank)
        return rows.lowerBound * shape[1]..<rows.upperBound * shape[1]
    }

    /// Takes this rank's columns of a whole matrix `[outputs, inputs]`.
    package func take(columnsOf whole: Tensor) {
        guard let device = columns.device else { return }
        let own = whole.columns(ranks.part(of: whole.shape[1]), on: device)
        columns.setColumns(0..<columns.shape[1], to: own, on: device)
    }
}
