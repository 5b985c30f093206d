import MartletFormats
import MartletLayers
package import MartletTensors

extension ModelFile {
    /// Writes the adapter on this model as llama.cpp reads it: a GGUF of the kind `adapter`, whose factors have the
    /// names of the matrices that they change.
    ///
    /// Source: llama.cpp's `convert_lora_to_gguf.py` and `llama-adapter.cpp`, which multiply by `adapter.lora.alpha` /
    /// rank: another scale goes into B.
    /// - Throws: ``ModelError`` for an adapter with whole modules, which the format cannot hold, and for one whose
    ///   matrices GGUF cuts otherwise.
    package func writeAdapter(to path: String, on device: Device) throws {
        guard adapters.count == 1, let adapter = adapters.first else {
            throw ModelError("\(path): a GGUF holds one adapter, not \(adapters.count)")
        }
        guard let dialect = GGUFDialect.writing(modelType) else {
            throw ModelError("\(path): model type \(modelType) has no name in GGUF")
        }
        guard !adapter.hasWholeModules else {
            throw ModelError("\(path): GGUF adapters hold no whole modules, such as a head: merge the adapter instead")
        }
        let targets = try AdapterTargets(architecture, family)
        let (layout, factors) = try adapter.read(targets, on: device)
        let names = family.ggufNames(architecture, modelType: modelType)
        let alpha = Float(adapter.configuration.alpha)
        var tensors: [(name: String, tensor: Tensor)] = []
        for target in layout.targets {
            guard let module = targets.modules.first(where: { $0.path == target.module }),
                let down = factors[target.down], let up = factors[target.up]
            else { continue }
            let (name, rows) = try module.stored(in: names, up, path: path, on: device)
            tensors.append((name + ".lora_a", down))
            tensors.append((name + ".lora_b", rows * (target.scale * Float(target.rank) / alpha)))
        }
        var metadata: GGUFMetadata = [:]
        metadata["general.architecture"] = .string(dialect.architecture)
        metadata["general.type"] = .string("adapter")
        metadata["adapter.type"] = .string("lora")
        metadata["adapter.lora.alpha"] = .float32(alpha)
        let plan = tensors.map { PlannedTensor(name: $0.name, type: .f32, shape: $0.tensor.shape) }
        var writer = try GGUF.writer(for: plan, metadata: metadata, to: path)
        for planned in writer.plan {
            guard let tensor = tensors.first(where: { $0.name == planned.name })?.tensor else { continue }
            try writer.write(tensor)
        }
        try writer.finish()
    }
}

extension AdapterTargets.Module {
    /// The matrix in a GGUF that holds this module, and the rows of B `[outputs, rank]` in its order.
    fileprivate func stored(
        in names: WeightNames, _ up: Tensor, path: String, on device: Device
    ) throws(ModelError) -> (name: String, rows: Tensor) {
        var (found, rows): ([WeightName], [(name: String, tensor: Tensor)]) = ([], [])
        for part in parts {
            guard let name = names.resolve(part.name) else {
                throw ModelError("\(path): GGUF has no name for \(part.name)")
            }
            let own = part.rows.map { up.selecting(rows: $0) } ?? up
            if case .rotaryPairs(let width) = name.layout {
                rows.append((part.name, device.adopt(own.pairedRows(headWidth: width, on: device))))
            } else {
                rows.append((part.name, own))
            }
            found.append(name)
        }
        guard let first = found.first, found.allSatisfy({ $0.name == first.name }) else {
            throw ModelError("\(path): GGUF keeps \(self.path) in several matrices; merge the adapter instead")
        }
        switch first.layout {
        case .asStored,
            .rotaryPairs where rows.count == 1:
            return (first.name, rows[0].tensor)
        case .rows(let order, let groups) where order.count == rows.count:
            let sorted = order.compactMap { name in rows.first { $0.name == name }?.tensor }
            return (first.name, device.adopt(Tensor.joined(rowsOf: sorted, groups: groups)))
        default:
            throw ModelError("\(path): GGUF keeps \(self.path) as part of another matrix; merge the adapter instead")
        }
    }
}
