package import MartletFormats
package import MartletLayers
package import MartletTensors

/// A writer of models: as a Hugging Face directory, and decoders as GGUF.
///
/// Knows no tokenizer; what a file says about text is handed in.
package struct ModelExport {
    package let modelType: String
    package let architecture: Architecture
    package private(set) var weights: WeightSource
    private let family: any Family.Type
    private let device: Device

    /// - Throws: ``ModelError`` for a model type that no family reads.
    package init(
        modelType: String, _ architecture: Architecture, _ weights: WeightSource, on device: Device
    ) throws(ModelError) {
        guard let family = Families.reading(modelType) else {
            throw ModelError("model type \(modelType) is not supported")
        }
        (self.modelType, self.architecture, self.weights) = (modelType, architecture, weights)
        (self.family, self.device) = (family, device)
    }

    /// The model of a file, whatever its format; with `merging`, its adapters become part of the matrices, which are
    /// f32 then.
    ///
    /// - Throws: also ``ModelError`` for a file with adapters that are not to be merged.
    package init(_ file: ModelFile, merging: Bool = false, on device: Device) throws {
        guard file.adapters.isEmpty || merging else {
            throw ModelError(
                "\(file.path): what is written is a whole model, into which adapters must be merged: --merge")
        }
        let inventory = try file.inventory()
        var keepsNames = false
        if case .directory = file.container {
            keepsNames = !file.isPartOfLarger && file.quantization == nil && file.isLaidOutAsWritten(inventory)
        }
        var weights = WeightSource(try file.checkpoint(), inventory, keepsNames: keepsNames, on: device)
        if !file.adapters.isEmpty { weights = weights.merging(try file.adapterSource(on: device), on: device) }
        try self.init(modelType: file.modelType, file.architecture, weights, on: device)
    }

    /// This export; `progress` is told the share of it that has been written.
    package func reporting(_ progress: @escaping (Double) -> Void) -> ModelExport {
        var export = self
        export.weights = weights.reporting(progress)
        return export
    }

    // MARK: - Hugging Face

    /// Writes `model.safetensors` into `folder`, which exists, under the names of transformers.
    ///
    /// - Parameter type: of all tensors; nil for the types they have. Blocks become f32 then, and vectors return to the
    ///   type of the matrices where that loses nothing: GGUF keeps them in f32.
    /// - Returns: the type that most elements have, in words of config.json.
    @discardableResult
    package func writeSafetensors(in folder: String, type: ElementType? = nil) throws -> String {
        let common = try commonType()
        let narrowed = try type == nil ? vectorsThatFit(common) : []
        let prefix = family.prefixes.first ?? ""
        let export = try WeightExport(
            weights, family.names(architecture), on: device,
            fullName: { entry, name in weights.storedName(entry.name) ?? self.prefixed(entry, name, prefix) },
            type: { _, _, parts, own in
                if let type { return type }
                return narrowed.contains(parts[0].name) ? common : own.isBlockQuantized ? .f32 : own
            })
        let path = folder + "/model.safetensors"
        try export.write(to: Safetensors.writer(for: export.plan, metadata: [("format", "pt")], to: path))
        return switch type ?? common {
        case .f16: "float16"
        case .bf16: "bfloat16"
        default: "float32"
        }
    }

    private func prefixed(_ entry: Inventory.Entry, _ name: String, _ prefix: String) -> String {
        let module = entry.name.split(separator: ".").dropLast().joined(separator: ".")
        return family.unprefixed.contains(module) ? name : prefix + name
    }

    /// The plain type of most elements; blocks count as f32.
    private func commonType() throws -> ElementType {
        var elements: [ElementType: Int] = [:]
        for entry in weights.inventory.entries {
            let type = weights.type(entry.name)
            elements[type.isBlockQuantized ? .f32 : type, default: 0] += entry.shape.elements
        }
        return elements.max { $0.value < $1.value }?.key ?? .f32
    }

    /// The f32 vectors and small tables whose numbers all have `type` already.
    private func vectorsThatFit(_ type: ElementType) throws -> Set<String> {
        guard type != .f32 else { return [] }
        var names: Set<String> = []
        for entry in weights.inventory.entries where weights.type(entry.name) == .f32 {
            let tensor = try weights.tensor(entry)
            if tensor.converted(to: type, on: device).decoded(on: device).values == tensor.values {
                names.insert(entry.name)
            }
        }
        return names
    }

    // MARK: - GGUF

    /// Writes a GGUF.
    ///
    /// - Parameters:
    ///   - text: what the file says about its tokenizer.
    ///   - type: of the matrices; nil for the types they have. Vectors, routers and positions are f32, as ggml wants
    ///     them.
    /// - Throws: ``ModelError`` for a model that the format has no words for.
    package func writeGGUF(to path: String, name: String, text: GGUFMetadata = [:], type: ElementType? = nil) throws {
        try writeGGUF(to: path, name: name, text: text, MatrixStorage { _, _, _, own in type ?? own })
    }

    /// The tensors that a GGUF of such a model has, each with our parameters in it, whatever types they get.
    ///
    /// - Throws: ``ModelError`` for a model that the format has no words for.
    package static func ggufContents(
        _ architecture: Architecture, modelType: String
    ) throws(ModelError) -> [WeightExport.Group] {
        guard let family = Families.reading(modelType), GGUFDialect.writing(modelType, architecture.body) != nil else {
            throw ModelError("model type \(modelType) has no name in GGUF")
        }
        let inventory: Inventory
        do { inventory = try architecture.withoutPooler.inventory() } catch { throw ModelError(error.description) }
        return try WeightExport.grouped(inventory, family.ggufNames(architecture, modelType: modelType))
    }

    package typealias TypeChoice = (_ name: String, _ shape: Shape, _ parts: [Inventory.Entry], _ own: ElementType) ->
        ElementType

    /// The storage of a GGUF's matrices: their types, their rounding and the file's type number.
    package struct MatrixStorage {
        /// The type of a tensor, by the file's name for it, its shape, our parameters that it holds, and the type that
        /// it comes in.
        package let type: TypeChoice
        /// Blocks that are not computed with, by the file's names.
        package var blocks: [String: WrittenBlocks] = [:]
        /// The rounding of numbers to their types; nil for the reference's.
        package let rounding: WeightExport.Rounding?
        /// The file type, `general.file_type`; nil for the number of the type that has most bytes.
        package let fileType: Int?

        package init(
            fileType: Int? = nil, rounding: WeightExport.Rounding? = nil,
            type: @escaping TypeChoice
        ) {
            (self.type, self.rounding, self.fileType) = (type, rounding, fileType)
        }
    }

    /// The tensors that a GGUF of this model has.
    ///
    /// - Throws: ``ModelError`` for a model that the format has no words for.
    package func ggufWeights(_ storage: MatrixStorage) throws(ModelError) -> WeightExport {
        _ = try dialect()
        let architecture = architecture.withoutPooler
        let known = weights.keeping { !Architecture.isOfPooler($0) }
        return try WeightExport(
            known, family.ggufNames(architecture, modelType: modelType), on: device, fullName: { $1 },
            type: { name, shape, parts, own in
                let isSmall =
                    parts[0].shape.rank <= 1
                    || parts[0].name.hasPrefix("sequence.")
                    || [.router, .positions, .segments, .relativePositions].contains(parts[0].role)
                guard !isSmall else { return .f32 }
                let type = storage.type(name, shape, parts, own)
                return shape.width % type.blockElements == 0 ? type : .f16
            }, blocks: { name, _ in storage.blocks[name] }, rounding: storage.rounding)
    }

    private func dialect() throws(ModelError) -> GGUFDialect {
        if let dialect = GGUFDialect.writing(modelType, architecture.body) { return dialect }
        let known = GGUFDialect.all.map(\.modelType).sorted().joined(separator: ", ")
        throw ModelError("model type \(modelType) has no name in GGUF. Known are \(known)")
    }

    /// - Throws: ``ModelError`` for a model that GGUF has no name for.
    package func checkHasName() throws { _ = try GGUFSettings(architecture, dialect()) }

    /// Writes a GGUF whose matrices are stored as `storage` says. Vectors, routers and positions are f32, as ggml wants
    /// them.
    ///
    /// - Parameter text: what the file says beside the model's settings, its tokenizer above all.
    /// - Throws: ``ModelError`` for a model that the format has no words for, and what rounding throws.
    package func writeGGUF(to path: String, name: String, text: GGUFMetadata, _ storage: MatrixStorage) throws {
        let dialect = try dialect()
        let settings = try GGUFSettings(architecture.withoutPooler, dialect)
        let export = try ggufWeights(storage)
        try check(settings, export, dialect, path: path)
        var metadata = settings.metadata
        metadata["general.name"] = .string(name)
        let most = export.plan.max { $0.bytes < $1.bytes }?.type ?? .f32
        metadata["general.file_type"] = .uint32(
            storage.fileType.map { UInt32($0) } ?? GGUFFileType.number(mostly: most))
        if export.plan.contains(where: \.isBlockQuantized) {
            metadata["general.quantization_version"] = .uint32(2)
        }
        // How llama.cpp spells that there is no vocabulary; without the key it refuses the file.
        metadata["tokenizer.ggml.model"] = .string("none")
        for (key, value) in text.entries { metadata[key] = value }
        for (key, value) in try GGUFParts.settings(export.numbers(where: GGUFParts.isSetting)) { metadata[key] = value }
        let plan =
            settings.tensors.map { PlannedTensor(name: $0.name, type: .f32, shape: $0.tensor.shape) }
            + export.plan.filter { !GGUFParts.isSetting($0.name) }
        try export.write(
            settings.tensors.map(\.tensor), to: GGUF.writer(for: plan, metadata: metadata, to: path))
    }

    /// Caveats of a GGUF of this model: what llama.cpp will do otherwise with it.
    package var caveats: [String] {
        if case .pooled = architecture.head {
            return ["GGUF has no name for the pooler, which is left out; vectors of texts do without it"]
        }
        if case .encoderDecoder = architecture.body, case .tokens(let head) = architecture.head, head.scale != 1 {
            return ["llama.cpp does not scale the logits of a tied head: probabilities will differ there"]
        }
        guard case .decoder(let stack) = architecture.body, let dialect = GGUFDialect.writing(modelType) else {
            return []
        }
        if dialect.architecture == "phimoe" {
            return [
                "llama.cpp weighs the two experts by their softmax, and norms without the mean: texts will differ there"
            ]
        }
        guard ["llama", "phi3"].contains(dialect.architecture) else { return [] }
        let windows = stack.layers.compactMap { layer in
            if case .window(let size) = layer.attention.reach { size } else { nil }
        }
        return windows.min().map {
            ["llama.cpp reads no window for \(dialect.architecture): texts of more than \($0) tokens will differ there"]
        } ?? []
    }

    /// A file that would say something else than the model is refused: what it says is read back before anything is
    /// written.
    private func check(_ settings: GGUFSettings, _ export: WeightExport, _ dialect: GGUFDialect, path: String) throws {
        var extents = Dictionary(export.plan.map { ($0.name, $0.shape.array) }) { first, _ in first }
        for (name, tensor) in settings.tensors { extents[name] = tensor.shape.array }
        let tensors = GGUFConfig.Tensors(
            extents: { extents[$0] },
            numbers: { name in settings.tensors.first { $0.name == name }?.tensor.values ?? [] })
        let config = try GGUFConfig.translate(settings.metadata, tensors: tensors, path: path)
        var understood = try ModelFile.describe(config, path: path).architecture
        understood = understood.withoutPooler
        // A head of its own is known by its tensor.
        if extents["output.weight"] != nil, case .tokens(var head) = understood.head {
            head.weights = .own
            understood.head = .tokens(head)
        }
        let architecture = architecture.withoutPooler
        if understood == architecture.withDivisors { return }
        let (wanted, said) = (architecture.summary.split(separator: "\n"), understood.summary.split(separator: "\n"))
        let differences = zip(wanted, said).filter { $0 != $1 }.prefix(3).map { "\"\($0)\" would become \"\($1)\"" }
        throw ModelError(
            "\(path): GGUF's \(dialect.architecture) cannot say what this model is: "
                + (differences.isEmpty ? "its context or layers differ" : differences.joined(separator: "; ")))
    }
}

extension Architecture {
    /// This architecture without BERT's pooler, for which GGUF has no name: vectors of texts do without.
    var withoutPooler: Architecture {
        guard case .pooled = head else { return self }
        var result = self
        result.head = .none
        return result
    }

    /// Returns whether a parameter belongs to BERT's pooler.
    static func isOfPooler(_ entry: Inventory.Entry) -> Bool { entry.name.utf8.starts(with: "pooled.".utf8) }

    /// This architecture with Llama 3's stretching written out as divisors, the only way in which GGUF has it.
    var withDivisors: Architecture {
        guard case .decoder(var stack) = body else { return self }
        for index in stack.layers.indices {
            guard case .rotary(var rotary) = stack.layers[index].attention.positions, case .llama3 = rotary.scaling
            else {
                continue
            }
            rotary.scaling = .divided(by: RotaryFrequencies(rotary).divisors)
            stack.layers[index].attention.positions = .rotary(rotary)
        }
        var result = self
        result.body = .decoder(stack)
        return result
    }
}

extension ModelFile {
    /// Returns whether the file fuses and turns matrices as the reference reads them; it may name them otherwise.
    func isLaidOutAsWritten(_ inventory: Inventory) -> Bool {
        if family.hasLayoutSetting { return true }
        let (written, own) = (family.names(architecture), family.names(architecture, storedAs: tensors))
        return inventory.entries.allSatisfy { written.resolve($0.name)?.layout == own.resolve($0.name)?.layout }
    }
}
