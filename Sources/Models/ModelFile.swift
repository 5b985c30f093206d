package import MartletFormats
package import MartletJSON
public import MartletLayers
package import MartletPlatform
package import MartletTensors

/// A model on disk, opened and described: a Hugging Face directory or a GGUF file. Weights stay mapped until they are
/// asked for.
public struct ModelFile: Sendable {
    package enum Container: Sendable {
        /// A folder with config.json and safetensors.
        case directory(String)
        case gguf(GGUF)

        fileprivate var isDirectory: Bool { if case .directory = self { true } else { false } }
    }

    /// The directory or file.
    public let path: String
    /// The `model_type` of config.json, or a GGUF's architecture.
    public let modelType: String
    /// The description of the model.
    public private(set) var architecture: Architecture
    package let container: Container
    package let family: any Family.Type

    /// The tensors as the file names them, unpacked where it packs matrices in a way of its own.
    package private(set) var tensors: StoredTensors

    /// The settings that describe the model, in the words of config.json, whatever the container.
    package private(set) var settings: JSONObject

    /// The low-rank adapters that products add to, in this order.
    package private(set) var adapters: [AdapterFile] = []
    /// Sets of adapters beside them of which each row of a pass selects one or none, by number.
    package private(set) var selectable: [[AdapterFile]] = []
    /// The selection of adapters, by which a pass of the model says what its rows select.
    package let selection = AdapterSelection()

    /// The quantization of its matrices by those who published it, beyond the element types of their tensors.
    package let quantization: WeightQuantization?

    /// The element type that matrices of plain numbers are converted to when they are loaded for products: with
    /// `.q8_0`, weights and activations are multiplied as int8. Nil leaves them as they are.
    package var matrices: ElementType?
    /// The ranks that divide its matrices (tensor parallelism); nil where all are packed here.
    package var ranks: ProductRanks?

    /// The cache that keeps its packed matrices for later starts; nil, the default, keeps none.
    package var packedCache: PackedCache?

    /// Keys of its configuration that say nothing to this model type: the reference passes them over too.
    package let passedOver: [String]

    /// Opens and describes the model at `path`, or the base model that an adapter at `path` names, with the adapter.
    ///
    /// - Throws: ``FormatError``, ``ConfigError``, ``ModelError``: every cause in one line.
    public init(path: String) throws { try self.init(path: path, .mapped) }

    /// Opens the model at `path` by files that are mapped or copied.
    package init(path: String, _ access: FileAccess) throws {
        guard AdapterFile.isAdapter(path) else {
            try self.init(whole: path, access)
            return
        }
        let adapter = try AdapterFile(path)
        guard let base = adapter.configuration.base, fileExists(base) else {
            let named = adapter.configuration.base.map { ", \($0.quoted)," } ?? ""
            throw ModelError(
                "\(path): an adapter, whose base model\(named) is not here; name the base and add the adapter")
        }
        try self.init(whole: base, access)
        try add(adapter)
    }

    private init(whole path: String, _ access: FileAccess) throws {
        self.path = path
        let config: JSONObject
        var stored: StoredTensors
        var unpacking: WeightQuantization?
        if ModelFile.isGGUF(path) {
            let file = try GGUF(contentsOf: path, access)
            (container, stored) = (.gguf(file), try GGUFParts.tensors(of: file))
            config = try GGUFConfig.translate(file)
        } else if fileExists(path + "/model.bin") && !fileExists(path + "/config.json") {
            let file = try CTranslate2File(contentsOf: path + "/model.bin", access)
            (container, stored) = (.directory(path), file.tensors)
            config = try CTranslate2.translate(file)
        } else {
            try ModelFile.checkFolder(path)
            stored = try Safetensors(directory: path, access).tensors
            container = .directory(path)
            config = JinaBERT.completed(try ModelFile.config(in: path), stored)
            unpacking = try WeightQuantization(config: config, path: path)
        }
        if let unpacking { stored = try stored.unpacked(unpacking) }
        quantization = unpacking
        let described = try ModelFile.describe(config, path: path)
        (modelType, family, passedOver) = (described.modelType, described.family, described.passedOver)
        var fitting = described.architecture.fittingHead(family, stored, isGGUF: ModelFile.isGGUF(path))
            .fittingPositions(family, stored)
        if case .directory = container, let head = try SentenceHead.read(path, config) {
            fitting.head = .sequence(nil, labels: head.labels, from: head.row)
            stored = try head.joined(stored, family.names(fitting))
        }
        (architecture, tensors, settings) = (fitting, stored, config)
    }

    /// True where `path` is a GGUF file: by its name, or by how it begins.
    package static func isGGUF(_ path: String) -> Bool { isNamedGGUF(path) || GGUF.begins(path) }

    /// True where a file of this name is a GGUF, in letters of either case.
    package static func isNamedGGUF(_ path: String) -> Bool {
        path.utf8.suffix(5).map { (65...90).contains($0) ? $0 + 32 : $0 }.elementsEqual(".gguf".utf8)
    }

    /// - Throws: ``FileError`` for what the system does not open, ``ModelError`` for what is no folder.
    private static func checkFolder(_ path: String) throws {
        let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else { return }
        throw ModelError(
            "\(path): it is no model: neither a folder with one, nor a file in such a folder, nor a GGUF file",
            remedy: "name a folder with config.json and weights, or a .gguf file")
    }

    /// The model's configuration, where there is a config.json; empty otherwise.
    package func config() throws -> JSONObject {
        guard case .directory(let path) = container, fileExists(path + "/config.json") else { return JSONObject() }
        return settings
    }

    /// Adds a low-rank adapter, and the whole modules that it brings, such as a head of its own.
    ///
    /// - Parameters:
    ///   - directory: peft's or MLX's files.
    ///   - scale: what the adapter's own scale is multiplied by.
    /// - Throws: ``ModelError`` for an adapter that is not understood, ``FormatError``, ``ConfigError``.
    public mutating func add(adapter directory: String, scale: Float = 1) throws {
        var adapter = try AdapterFile(directory)
        adapter.strength = scale
        try add(adapter)
    }

    /// Adds a set of low-rank adapters that rows of a pass may select, by the number of those before it.
    ///
    /// - Throws: ``ModelError`` for one with whole modules, which cannot be selected by rows; what reading throws.
    package mutating func add(selectable adapters: [(directory: String, scale: Float)]) throws {
        selectable.append(
            try adapters.map { directory, scale in
                var adapter = try AdapterFile(directory)
                adapter.strength = scale
                guard !adapter.hasWholeModules else {
                    throw ModelError(
                        "\(directory): the adapter brings whole modules, which cannot be used beside other adapters of "
                            + "one model; load the model with it alone")
                }
                return adapter
            })
    }

    private mutating func add(_ adapter: AdapterFile) throws {
        if fileExists(adapter.path + "/config.json") { settings = try ModelFile.config(in: adapter.path) }
        architecture = try ModelFile.describe(settings, path: adapter.path).architecture
        // A GGUF has no names for the family's modules, but for heads that label it takes them.
        if container.isDirectory || !architecture.writes { tensors = try adapter.saved(over: tensors) }
        architecture = architecture.fittingHead(family, tensors).fittingPositions(family, tensors)
        if let head = try SentenceHead.read(adapter.path, settings) {
            architecture.head = .sequence(nil, labels: head.labels, from: head.row)
            tensors = try head.joined(tensors, family.names(architecture))
        }
        adapters.append(adapter)
        // What does not fit is better told here than after loading.
        let device = Device(threads: 1)
        _ = try adapter.read(AdapterTargets(architecture, family), on: device)
    }

    /// The source of the model's parameters: `source`, with the adapters.
    func adapted(_ source: any ParameterSource, on device: Device) throws -> any ParameterSource {
        guard !adapters.isEmpty || !selectable.isEmpty else { return source }
        let targets = try AdapterTargets(architecture, family)
        return AdaptedSource(
            source, try adapters.map { try $0.read(targets, on: device) }, selection: selection,
            sets: try selectable.map { try $0.map { try $0.read(targets, on: device) } })
    }

    /// The adapters alone, on a model that is only counted.
    func adapterSource(on device: Device) throws -> any ParameterSource { try adapted(Inventory(), on: device) }

    /// The contents of a folder's config.json.
    package static func config(in directory: String) throws -> JSONObject {
        let path = directory + "/config.json"
        guard let config = try JSON(contentsOf: path, as: .python).objectValue else {
            throw ModelError("\(path): the configuration is not a JSON object")
        }
        return settings(of: config)
    }

    /// The settings of the language model in one that also sees or hears, as those of a model of its own; nil for a
    /// model that only reads.
    package static func textPart(of config: JSONObject) -> JSONObject? {
        guard let outer = config["model_type"]?.stringValue, Families.reading(outer) == nil,
            var text = config["text_config"]?.objectValue ?? besideSight(config, outer)
        else { return nil }
        // Where the part does not say its type, it is the larger model's own, or what LLaVA began with.
        let types = [text["model_type"]?.stringValue, outer + "_text", "llama"].compactMap { $0 }
        guard let type = types.first(where: { Families.reading($0) != nil }) else { return nil }
        text["model_type"] = .string(type)
        // The class that is named writes; inside a larger model it may be the bare one.
        text["architectures"] = [.string(GGUFDialect.writing(type)?.className ?? "ForCausalLM")]
        let shared = [
            "tie_word_embeddings", "eos_token_id", "bos_token_id", "pad_token_id", "quantization_config",
            "quantization",
        ]
        for key in shared where text[key] == nil {
            text[key] = config[key]
        }
        return text
    }

    /// The settings of a larger model that has those of its text part beside it: Qwen2-VL as it was published.
    private static func besideSight(_ config: JSONObject, _ modelType: String) -> JSONObject? {
        guard ["qwen2_vl", "qwen2_5_vl"].contains(modelType), config["hidden_size"] != nil else { return nil }
        var text = config
        text["vision_config"] = nil
        return text
    }

    /// Reads the description of a model from its configuration.
    ///
    /// - Throws: ``ModelError`` for a model type that no family reads, ``ConfigError`` for everything wrong with the
    ///   rest.
    package static func describe(
        _ config: JSONObject, path: String
    ) throws -> (modelType: String, family: any Family.Type, architecture: Architecture, passedOver: [String]) {
        guard let modelType = config["model_type"]?.stringValue else {
            throw ModelError("\(path): the configuration has no model_type, which says what kind of model it is")
        }
        guard let family = Families.reading(modelType) else {
            if let reason = Families.refusal(modelType) {
                throw ModelError("\(path): model type \(modelType) is not supported: \(reason)")
            }
            let known = Families.all.flatMap { $0.modelTypes }.sorted().joined(separator: ", ")
            throw ModelError("\(path): model type \(modelType) is not supported. Known are \(known)")
        }
        let reader = ConfigReader(config, path: path)
        // How weights are packed is read where they are.
        reader.ignore("quantization_config", "quantization")
        var architecture = family.architecture(reader)
        if let sizes = LayerSizes(config) {
            reader.ignore(LayerSizes.key)
            architecture = try sizes.applied(to: architecture, path: path)
        }
        for contradiction in architecture.contradictions { reader.reject(contradiction) }
        try reader.finish(
            ignoring: family.harmlessKeys, reference: ConfigurationKeys.of(modelType) ?? family.publishedKeys)
        return (modelType, family, architecture, reader.passedOver)
    }

    /// True where the file holds more than this model: one that also sees.
    var isPartOfLarger: Bool {
        tensors.names.contains { name in
            ["language_model.", "model.language_model."].contains { name.utf8.starts(with: $0.utf8) }
        }
    }

    /// Every parameter that this model asks for.
    package func inventory() throws -> Inventory { try architecture.inventory() }

    /// The decoder with its weights, packed for `device`.
    ///
    /// - Throws: ``CheckpointError`` with every missing and misshapen tensor; ``UnsupportedArchitecture``;
    ///   ``FormatError``.
    package func decoder(on device: Device) throws -> Decoder {
        var weights = PackedWeights()
        return try decoder(on: device, weights: &weights)
    }

    /// The decoder with its weights, packed for `device`, and the size of them.
    package func decoder(on device: Device, weights: inout PackedWeights) throws -> Decoder {
        guard case .decoder(let decoder) = try model(on: device, weights: &weights) else {
            throw ModelError("\(path): this model does not continue texts; it is not a decoder")
        }
        return decoder
    }

    /// The model with its weights, packed for `device`.
    ///
    /// - Throws: ``CheckpointError`` with every missing and misshapen tensor; ``UnsupportedArchitecture``;
    ///   ``FormatError``.
    package func model(on device: Device) throws -> Model {
        var weights = PackedWeights()
        return try model(on: device, weights: &weights)
    }

    package func model(on device: Device, weights: inout PackedWeights) throws -> Model {
        try checkMemory()
        let queue = PackingQueue()
        let cached = try packedIdentity()
        let kept = cached.flatMap { $0.cache.matrices(of: $0.identity, on: device) }
        let source = CheckpointSource(
            try checkpoint(), device: device, matrices: matrices, queue: queue, dividedAmong: ranks, kept: kept)
        let adapted = try adapted(source, on: device)
        let model = try Model(architecture, Scope(adapted))
        if let failure = source.failure { throw failure }
        if let routed = (adapted as? AdaptedSource)?.routed.first {
            throw ModelError(
                "\(path): an adapter of \(routed), one of a mixture's experts, cannot be used beside other adapters of "
                    + "one model; load the model with it alone")
        }
        queue.run(on: device)
        ranks?.complete()
        // What was packed was that of the file which was opened.
        try tensors.checkUnchanged()
        if let cached, kept == nil { cached.cache.keep(source.packed, of: cached.identity) }
        weights = source.weights
        if let packedCache, weights.bytes >= packedCache.least { packedCache.chooseRows(for: weights.types) }
        return model
    }

    /// The cache, and the identity of this model in it; nil where nothing is to be kept: without a cache, and of ranks,
    /// which pack parts.
    private func packedIdentity() throws(FormatError) -> (cache: PackedCache, identity: PackedCache.Identity)? {
        guard let packedCache, ranks == nil else { return nil }
        var (name, content) = (Fingerprint(), Fingerprint())
        for path in tensors.paths { name.add(Folder.absolute(path)) }
        name.add(matrices?.rawValue ?? "")
        content.add("\(name)")
        content.add(JSON.object(settings).serialized())
        do throws(FileError) {
            try tensors.identify(in: &content)
            // Another version may pack otherwise, or read other rows.
            try content.add(identityOf: "/proc/self/exe")
        } catch {
            throw FormatError(error)
        }
        return (packedCache, PackedCache.Identity(name: name, content: content))
    }

    /// - Throws: ``ModelError`` where the weights alone take more memory than there is: better told than killed.
    private func checkMemory() throws(ModelError) {
        let (available, limit) = SystemMemory.available
        let stored = tensors.all.reduce(0) { $0 + ($1.extents.count > 1 ? $1.bytes : 0) }
        // What is rounded to int8 takes at least a quarter.
        let bytes = (matrices == nil ? stored : stored / 4) / (ranks?.count ?? 1)
        guard available > 0, bytes > available else { return }
        func megabytes(_ bytes: Int) -> String { "\(bytes / 1_000_000) MB" }
        throw ModelError(
            "\(path): the weights take \(megabytes(bytes)), but \(limit.rawValue) leaves \(megabytes(available)); quantize the model (martlet quantize), or raise the limit"
        )
    }

    /// The file's tensors matched with the parameters that the model asks for.
    package func checkpoint() throws -> Checkpoint { try checkpoint(of: architecture, inventory()) }

    /// The file's tensors matched with some of the parameters of a model, `architecture`, that it may hold.
    ///
    /// - Parameter ignoring: further names that may be there and are not needed.
    func checkpoint(
        of architecture: Architecture, _ inventory: Inventory, ignoring: [String] = []
    ) throws(CheckpointError) -> Checkpoint {
        switch container {
        case .directory:
            return try Checkpoint(
                tensors, family.names(architecture, storedAs: tensors).withBias(ofHead: architecture.head, in: tensors),
                prefixes: family.prefixes,
                inventory: inventory, ignoring: family.unused + ["lm_head.weight"] + ignoring)
        case .gguf:
            // GGUF has no name for an adapter's head that labels, which keeps the family's.
            let head: WeightNames = architecture.writes ? [:] : family.names(architecture).of("head")
            return try Checkpoint(
                tensors,
                head.adding(family.ggufNames(architecture, modelType: modelType))
                    .adding(GGUFNames.older(modelType, storedAs: tensors)).adding(GGUFHead.single(storedAs: tensors)),
                prefixes: [""], inventory: inventory,
                ignoring: GGUFHead.unused + [
                    "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight",
                ] + ignoring)
        }
    }
}

extension Architecture {
    /// Every parameter of the model that this describes, by building that very model from a source that only counts.
    ///
    /// - Throws: ``UnsupportedArchitecture`` where the description says more than can be run.
    package func inventory() throws(UnsupportedArchitecture) -> Inventory {
        let inventory = Inventory()
        _ = try Model(self, Scope(inventory))
        return inventory
    }
}

/// A model that cannot be used, and why.
public struct ModelError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
