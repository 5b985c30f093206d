import Martlet
import MartletAPI
import MartletDistributed
import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The plan of a server, what is to be served: from options, environment and file.
struct ServePlan {
    let models: [Served]
    /// The idle seconds after which a model that nobody asks for is let go; nil keeps all.
    let idleSeconds: Int?
    let host: String
    let port: Int
    /// The settings by which each model is loaded.
    var loading = ServedModel.Settings()
    let drainSeconds: Int
    var settings = ServiceSettings()

    /// - Throws: ``UsageError`` for settings that cannot be meant; what reading files throws.
    init(_ command: ServeCommand) throws {
        let sources = try SettingSources(file: command.config)
        models = try ServePlan.models(command, sources)
        idleSeconds = try sources.integer("idle-seconds", command.idleSeconds, 1...1 << 30)
        host = try sources.text("host", command.host) ?? "127.0.0.1"
        port = try sources.integer("port", command.port, 0...65_535) ?? 8_642
        drainSeconds = try sources.integer("drain-seconds", command.drainSeconds, 0...86_400) ?? 30
        try readLoading(command, sources)
        try readLimits(command, sources)
        try readAccess(command, sources)
        settings.log = { Output.logLine($0.serialized()) }
        if let file = try sources.text("answer-log", command.answerLog) {
            let log = try LineLog(file)
            settings.answerLog = { log.append($0.serialized()) }
        }
        try sources.finish()
    }

    private mutating func readLoading(_ command: ServeCommand, _ sources: SettingSources) throws {
        loading.threads = try sources.integer("threads", command.threads, 1...1_024)
        loading.slots = try sources.integer("slots", command.slots, 1...1_024) ?? 8
        loading.context = try sources.integer("context", command.context, 2...1 << 30)
        if let name = try sources.text("cache", command.cache) {
            guard let cache = CacheType(rawValue: name) else {
                let known = CacheType.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--cache \(name) is not known; known are \(known)")
            }
            loading.cache = cache
        }
        loading.packedCache = try sources.flag("no-packed-cache", command.noPackedCache) ? nil : .ofUser
        loading.cacheBytes = try sources.text("kv-memory", command.kvMemory).map {
            Int(clamping: try PlanFile.bytes($0))
        }
    }

    private mutating func readLimits(_ command: ServeCommand, _ sources: SettingSources) throws {
        var limits = settings.limits
        limits.loadedModels = try sources.integer("max-models", command.maxModels, 1...1 << 20)
        limits.requests = try sources.integer("max-queue", command.maxQueue, 1...1 << 20) ?? limits.requests
        limits.queuedTokens =
            try sources.integer("max-queue-tokens", command.maxQueueTokens, 1...1 << 40) ?? limits.queuedTokens
        limits.bodyBytes = try sources.integer("max-body", command.maxBody, 1...1 << 30) ?? limits.bodyBytes
        limits.requestSeconds =
            try sources.integer("request-seconds", command.requestSeconds, 1...86_400) ?? limits.requestSeconds
        settings.limits = limits
    }

    /// Reads who may ask.
    private mutating func readAccess(_ command: ServeCommand, _ sources: SettingSources) throws {
        settings.hostNames = try sources.texts("host-name", command.hostName).map { $0.lowercased() }
        settings.origins = try sources.texts("origin", command.origin).map { given in
            guard let origin = ServiceSettings.origin(given) else {
                throw UsageError(
                    "--origin \(given) is no origin, as browsers send it: give scheme and host, https://example.org")
            }
            return origin
        }
        if let file = try sources.text("api-key-file", command.apiKeyFile) {
            settings.keys = KeyRing(file: try Input.text(file))
            if settings.keys.isEmpty { throw UsageError("\(file) holds no key") }
        }
        let isAnonymous = settings.keys.isEmpty
        let isAllowed = try sources.flag("allow-anonymous", command.allowAnonymous)
        guard !isAnonymous || isAllowed || ["127.0.0.1", "localhost", "::1"].contains(host) else {
            throw UsageError(
                "--host \(host) lets the whole network ask: give --api-key-file, or --allow-anonymous to mean it")
        }
        if isAnonymous && isAllowed { settings.hostNames.append(host) }
    }

    /// The model whose matrices ranks divide.
    ///
    /// - Throws: ``UsageError`` where there are several, or it comes and goes.
    func onlyModel() throws(UsageError) -> Served {
        guard let model = models.first, models.count == 1, !model.isOnDemand, idleSeconds == nil else {
            throw UsageError(
                "ranks divide the matrices of one model that is always there: name one with -m, without --idle-seconds")
        }
        return model
    }

    /// A model that is served: where its files are, and what stands beside its weights.
    struct Served: Sendable {
        let name: String
        let path: String
        /// True where it is loaded only when somebody asks for it.
        let isOnDemand: Bool
        var adapters: [(directory: String, scale: Float)] = []
        /// The draft model, a smaller one that guesses what this one writes.
        var draft: String?
        /// The weights that it shares with other names for the same files; nil for weights of its own.
        var shared: SharedModel?

        /// The model's file with its adapters.
        func file() throws -> ModelFile {
            var file = try ModelFile(path: path)
            for adapter in adapters { try file.add(adapter: adapter.directory, scale: adapter.scale) }
            return file
        }
    }

    private static func models(_ command: ServeCommand, _ sources: SettingSources) throws -> [Served] {
        var models = try sources.texts("model", command.model).map { try model($0) }
        if let folder = try sources.text("models-folder", command.modelsFolder) {
            models += try self.models(in: folder)
        }
        if models.isEmpty { models = try shipped(command) }
        if let twice = Dictionary(grouping: models, by: \.name).first(where: { $0.value.count > 1 })?.key {
            throw UsageError("two models are called \(twice); name them: -m NAME=MODEL")
        }
        for given in try sources.texts("adapter", command.adapter) {
            let parts = given.split(separator: "=", maxSplits: 2).map(String.init)
            guard parts.count > 1, let index = models.firstIndex(where: { $0.name == parts[0] }) else {
                throw UsageError(
                    "--adapter \(given): NAME=DIR is expected, NAME being one of \(models.map(\.name).joined(separator: ", "))"
                )
            }
            guard let scale = parts.count < 3 ? 1 : Float(parts[2]), scale.isFinite else {
                throw UsageError("--adapter \(given): what follows the second = is no scale")
            }
            models[index].adapters.append((parts[1], scale))
        }
        for given in try sources.texts("draft", command.draft) {
            let (name, path) = draft(given, of: models)
            guard let index = models.firstIndex(where: { $0.name == name }), models[index].draft == nil else {
                throw UsageError("--draft \(given): \(name) has a draft model already")
            }
            models[index].draft = try ModelLocation.path(of: path)
        }
        return try sharing(models)
    }

    /// The models that ship: one that writes, and unless ranks are to divide that one, an encoder of sentences.
    private static func shipped(_ command: ServeCommand) throws -> [Served] {
        let writing = Served(name: "martlet", path: try EmbeddedModel.path(), isOnDemand: false)
        if MPICommunicator.isLaunched || command.ranks.ranks ?? 1 > 1 { return [writing] }
        let path = try EmbeddedModel.path(.sentences)
        return [writing, Served(name: "martlet-sentences", path: path, isOnDemand: false)]
    }

    /// The models, where names for the same files that differ in adapters alone share the weights.
    private static func sharing(_ models: [Served]) throws -> [Served] {
        var models = models
        for place in models.indices where models[place].shared == nil && !models[place].adapters.isEmpty {
            let model = models[place]
            let same = models.indices.filter { models[$0].path == model.path && models[$0].draft == model.draft }
            let adapted = same.filter { !models[$0].adapters.isEmpty }
            let isSelectable = try adapted.allSatisfy { index in
                try models[index].adapters.allSatisfy { try !AdapterFile($0.directory).hasWholeModules }
            }
            guard same.count > 1, isSelectable else { continue }
            let shared = SharedModel(
                path: model.path, sets: adapted.map { (models[$0].name, models[$0].adapters) })
            for index in same { models[index].shared = shared }
        }
        return models
    }

    /// The draft model that is given as NAME=MODEL, or as MODEL for the first one: the name whose draft it is, and the
    /// draft's path.
    private static func draft(_ given: String, of models: [Served]) -> (name: String, path: String) {
        let parts = given.split(separator: "=", maxSplits: 1).map(String.init)
        if parts.count == 2, models.contains(where: { $0.name == parts[0] }) { return (parts[0], parts[1]) }
        return (models.first?.name ?? "", given)
    }

    /// NAME=MODEL, or a model that is called as its file or folder.
    private static func model(_ given: String) throws -> Served {
        if !fileExists(given), let equals = given.utf8.firstIndex(of: UInt8(ascii: "=")), equals > given.startIndex {
            let path = try ModelLocation.path(of: String(given[given.utf8.index(after: equals)...]))
            return Served(name: String(given[..<equals]), path: path, isOnDemand: false)
        }
        return Served(name: name(ofFile: given), path: try ModelLocation.path(of: given), isOnDemand: false)
    }

    private static func name(ofFile path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name
    }

    /// The models that lie in a folder, by name: directories with a config.json, and `.gguf` files.
    private static func models(in folder: String) throws -> [Served] {
        let found = Folder.names(in: folder).sorted().compactMap { name -> Served? in
            let path = folder + "/" + name
            guard name.hasSuffix(".gguf") || fileExists(path + "/config.json") else { return nil }
            return Served(name: self.name(ofFile: name), path: path, isOnDemand: true)
        }
        guard !found.isEmpty else { throw UsageError("\(folder): there is no model in this folder") }
        return found
    }

    /// - Throws: ``UsageError`` for a KV cache that the model's heads do not allow, or that is under one block.
    private func checkCache(of architecture: Architecture, _ name: String) throws(UsageError) {
        guard case .decoder(let stack) = architecture.body else { return }
        let offences = architecture.offences(cache: loading.cache.elementType)
        guard offences.isEmpty else {
            throw UsageError("\(name): --cache \(loading.cache.rawValue): \(offences.joined(separator: "; "))")
        }
        let least = KeyValueLayout(stack, type: loading.cache.elementType).blockBytes
        guard let bytes = loading.cacheBytes, bytes < least else { return }
        throw UsageError(
            "\(name): --kv-memory is \(bytes) bytes, but \(BlockLayout.positions) positions take \(least)")
    }

    /// Opens every model's files, and says what would be served.
    func report() throws {
        for model in models {
            let file = try model.file()
            if let draft = model.draft { _ = try DraftFile(draft, for: file) }
            try checkCache(of: file.architecture, model.name)
            Output.write(
                "\(model.name): \(file.modelType), \(try file.inventory().total) parameters"
                    + (model.isOnDemand ? ", when it is asked for\n" : "\n"))
        }
        Output.write("http://\(host):\(port)/, \(settings.keys.isEmpty ? "no keys" : "with keys")\n")
    }
}
