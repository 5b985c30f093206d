package import MartletTensors

/// All parameters of a model that learns: f32 masters in a single memory, in the order of the inventory, which is that of ``Gradients``.
///
/// As a source it hands out tracked tensors; `untracked` hands out the same numbers for evaluation. An optimizer writes them between two
/// passes, and nothing is packed, so a model built from here always computes with what they are now.
package final class TrainableParameters: ParameterSource {
    package let names: [String]
    package let shapes: [Shape]
    /// Where each starts in the memory of all, in elements.
    package let offsets: [Int]
    package let count: Int
    package let device: Device
    package let operands: ElementType
    private let storage: Storage
    private let places: [String: Int]
    /// What a checkpoint holds and training leaves alone.
    package let constants: [(name: String, tensor: Tensor)]

    /// - Parameters:
    ///   - inventory: of the model.
    ///   - origin: where the numbers come from: a seed, or a checkpoint.
    ///   - operands: what layers multiply, f32 or bf16; the masters are f32 in any case.
    package init(
        _ inventory: Inventory, from origin: any ParameterSource, operands: ElementType = .f32, on device: Device
    ) {
        self.operands = operands
        let trained = inventory.entries.filter { $0.fill != .constant }
        (names, shapes) = (trained.map(\.name), trained.map(\.shape))
        (offsets, count) = Gradients.layout(shapes)
        self.device = device
        storage = Storage(bytes: count * 4)
        unsafe storage.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: count * 4)
        places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        var constants: [(name: String, tensor: Tensor)] = []
        for entry in inventory.entries {
            let value = origin.parameter(entry).value
            if let place = places[entry.name] {
                let target = Tensor(
                    storage: storage, byteOffset: offsets[place] * 4, shape: entry.shape, type: .f32, device: device)
                if let value { target.overwrite(with: value.decoded(on: device), adding: false) }
            } else if let value {
                constants.append((entry.name, value.decoded(on: device)))
            }
        }
        self.constants = constants
    }

    /// The numbers of parameter `index`; an optimizer may write them between two passes.
    package subscript(_ index: Int) -> Tensor {
        Tensor(storage: storage, byteOffset: offsets[index] * 4, shape: shapes[index], type: .f32, device: device)
    }

    /// All of them in one tensor, zeros in the gaps.
    package var all: Tensor { Tensor(storage: storage, shape: [count], type: .f32, device: device) }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        guard let place = places[description.name] else {
            return Parameter(description, value: constants.first { $0.name == description.name }?.tensor)
        }
        let value = self[place].tracked(by: GradientNode(leaf: place, shapes[place]))
        return Parameter(description, value: value)
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    package func decoded(_ parameter: Parameter) -> Parameter { parameter }

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
        func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
        func decoded(_ parameter: Parameter) -> Parameter { parameter }
    }
}
