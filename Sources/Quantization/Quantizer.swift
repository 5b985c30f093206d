package import MartletFormats
import MartletLayers
package import MartletModels
package import MartletPlanning
package import MartletTensors

/// A quantizer of one model in one mix of types: as a GGUF file, or in memory to see what it has lost.
package struct Quantizer {
    /// The rounding of numbers to integers.
    package enum Rounding: Sendable {
        /// Rounding as ggml's reference quantizers do it.
        case reference
        /// Rounding with the scales of least error searched for: never worse.
        case searched
    }

    package let fileType: FileType
    package let rounding: Rounding
    package let importance: Importance?
    private let file: ModelFile
    private var export: ModelExport
    private var progress: (Double) -> Void = { _ in }
    private let types: [String: ElementType]
    /// The matrices in blocks that are not computed with.
    private let blocks: [String: WrittenBlocks]
    private let device: Device

    /// - Throws: ``QuantizationError`` for a mix with types that cannot be written, and what opening the model throws.
    package init(
        _ file: ModelFile, _ fileType: FileType, overrides: [TensorOverride] = [], importance: Importance? = nil,
        rounding: Rounding = .searched, on device: Device
    ) throws {
        (self.file, self.fileType, self.rounding, self.importance) = (file, fileType, rounding, importance)
        self.device = device
        export = try ModelExport(file, on: device)
        let choice = try TensorTypes(
            fileType, file.architecture, modelType: file.modelType, hasImportance: importance != nil,
            overrides: overrides)
        (types, blocks) = try Quantizer.types(choice, export)
    }

    /// The patterns that no tensor of the file has the name of.
    package static func unmatched(_ overrides: [TensorOverride], in file: ModelFile, on device: Device) throws
        -> [String]
    {
        let plan = try ModelExport(file, on: device).ggufWeights(.init { _, _, _, own in own }).plan
        return overrides.filter { override in !plan.contains { override.matches($0.name) } }.map(\.pattern)
    }

    /// Quantizes the model; `progress` is told the share of it that is done.
    package func reporting(_ progress: @escaping (Double) -> Void) -> Quantizer {
        var quantizer = self
        (quantizer.export, quantizer.progress) = (export.reporting(progress), progress)
        return quantizer
    }

    /// The types of the matrices by the file's names.
    private static func types(
        _ choice: TensorTypes, _ export: ModelExport
    ) throws -> ([String: ElementType], [String: WrittenBlocks]) {
        var types: [String: ElementType] = [:]
        var blocks: [String: WrittenBlocks] = [:]
        var unknown: Set<String> = []
        let plan = try export.ggufWeights(
            .init { name, shape, parts, own in
                let wanted = choice.type(
                    of: name, ParameterRole(of: parts), layer: parts[0].layer ?? 0, row: shape.width)
                if let type = ElementType(storage: wanted) {
                    types[name] = type
                } else if let kind = WrittenBlocks(rawValue: wanted.rawValue) {
                    (types[name], blocks[name]) = (.f32, kind)
                } else {
                    unknown.insert(wanted.rawValue)
                }
                return own
            })
        guard unknown.isEmpty else {
            let known = FileType.writable.map(\.rawValue).joined(separator: ", ")
            throw QuantizationError(
                "\(choice.fileType.rawValue) needs \(unknown.sorted().joined(separator: " and ")), which cannot be "
                    + "written. Mixes that can: \(known)")
        }
        let others = plan.plan.filter { types[$0.name] == nil }.map { ($0.name, ElementType.f32) }
        return (types.merging(others) { first, _ in first }, blocks)
    }

    private func storage(_ observe: ((TensorError) -> Void)? = nil) -> ModelExport.MatrixStorage {
        var storage = ModelExport.MatrixStorage(
            fileType: fileType.number,
            rounding: { tensor, planned, parts in
                let weights = importance?.weights(of: parts.map(\.name))
                if let kind = planned.blocks {
                    observe?(error(planned.name, tensor, kind.encoded(tensor, on: device), kind, weights))
                    return tensor
                }
                let rounded = round(tensor, to: planned.type, weights)
                if let observe, planned.type != .f32 {
                    observe(TensorError(planned.name, tensor, rounded, weights: weights, on: device))
                }
                return rounded
            }, type: { name, _, _, own in types[name] ?? own })
        storage.blocks = blocks
        return storage
    }

    private func error(
        _ name: String, _ tensor: Tensor, _ encoded: Storage, _ kind: WrittenBlocks, _ weights: [Float]?
    ) -> TensorError {
        TensorError(
            name, tensor, kind.values(encoded, shape: tensor.shape), as: kind, weights: weights, on: device)
    }

    private func round(_ tensor: Tensor, to type: ElementType, _ weights: [Float]?) -> Tensor {
        if tensor.type == type { return tensor }
        return switch rounding {
        case .reference: tensor.converted(to: type, on: device)
        case .searched: tensor.rounded(to: type, weights: weights, on: device)
        }
    }

    /// The tensors of the file to be written, with ours that each holds.
    package func weights() throws -> WeightExport { try export.ggufWeights(storage()) }

    /// Writes the GGUF, one tensor after another.
    ///
    /// - Parameters:
    ///   - text: what the file says beside the model's settings.
    ///   - measuring: whether to say what each matrix lost.
    @discardableResult
    package func write(
        to path: String, name: String, text: GGUFMetadata, measuring: Bool = false
    ) throws -> [TensorError] {
        var text = text
        if let importance {
            text["quantize.imatrix.entries_count"] = .uint32(UInt32(clamping: importance.columns.count))
            text["quantize.imatrix.chunks_count"] = .uint32(UInt32(clamping: importance.chunks))
        }
        var errors: [TensorError] = []
        try export.writeGGUF(to: path, name: name, text: text, measuring ? storage { errors.append($0) } : storage())
        return errors
    }

    /// The quantized model in memory, its matrices rounded as the file's would be, and what each lost.
    package func decoder() throws -> (decoder: Decoder, errors: [TensorError]) {
        var names: [String: WeightExport.Content] = [:]
        for content in try weights().contents {
            for part in content.parts { names[part.name] = content }
        }
        var (done, total) = (0, Double(max(1, try file.inventory().total)))
        let source = RoundingSource(CheckpointSource(try file.checkpoint(), device: device)) { parameter, value in
            guard let (planned, parts) = names[parameter.name], planned.type != .f32 || planned.blocks != nil else {
                return nil
            }
            // Parts share their columns' weights, unless they are experts.
            let weights = importance?.weights(of: planned.shape.rank == 3 ? [parameter.name] : parts.map(\.name))
            done += value.shape.elements
            progress(Double(done) / total)
            if let kind = planned.blocks {
                let encoded = kind.encoded(value, on: device)
                return (
                    kind.loaded(encoded, shape: value.shape, on: device),
                    error(planned.name, value, encoded, kind, weights)
                )
            }
            let rounded = round(value, to: planned.type, weights)
            return (rounded, TensorError(planned.name, value, rounded, weights: weights, on: device))
        }
        guard case .decoder(let decoder) = try Model(file.architecture, Scope(source)) else {
            throw QuantizationError("\(file.path): this model does not continue texts; it is not a decoder")
        }
        if let failure = source.base.failure { throw failure }
        return (decoder, source.errors)
    }
}

/// A checkpoint whose matrices are rounded as they are asked for.
private final class RoundingSource: ParameterSource {
    let base: CheckpointSource
    private let round: (Parameter, Tensor) -> (Tensor, TensorError)?
    /// The errors in the order of the model; parts of one tensor together.
    private(set) var errors: [TensorError] = []
    private var places: [String: Int] = [:]

    init(_ base: CheckpointSource, round: @escaping (Parameter, Tensor) -> (Tensor, TensorError)?) {
        (self.base, self.round) = (base, round)
    }

    func parameter(_ description: ParameterDescription) -> Parameter {
        let parameter = base.parameter(description)
        guard let value = parameter.value, description.shape.rank == 2, let (rounded, error) = round(parameter, value)
        else {
            return parameter
        }
        if let known = places[error.name] {
            errors[known].add(error)
        } else {
            places[error.name] = errors.count
            errors.append(error)
        }
        return parameter.with(rounded)
    }

    func packed(_ parameter: Parameter) -> PackedMatrix? { base.packed(parameter) }
    func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
}
