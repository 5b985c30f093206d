package import MartletFormats
package import MartletJSON
public import MartletLayers
import MartletPlatform
package import MartletTensors

/// A model on disk, opened and described: a Hugging Face directory or a GGUF file. Weights stay mapped until they are
/// asked for.
public struct ModelFile: Sendable {
    /// The container of a model's weights and settings.
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
            stored = try Safetensors(directory: path, access).tensors.withoutWrappers()
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
        let targets = try AdapterTargets(architecture, family)
        try adapter.checkTies(architecture, targets)
        _ = try adapter.read(targets, on: device)
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

    /// True where the file holds more than this model: one that also sees.
    var isPartOfLarger: Bool {
        tensors.names.contains { name in
            ["language_model.", "model.language_model."].contains { name.utf8.starts(with: $0.utf8) }
        }
    }

    /// Every parameter that this model asks for.
    package func inventory() throws -> Inventory { try architecture.inventory() }
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
