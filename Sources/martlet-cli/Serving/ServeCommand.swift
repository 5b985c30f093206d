import ArgumentParser
import Martlet
import MartletAPI
import MartletJSON
import MartletModels
import MartletPlatform
import MartletServingHTTP

#if Server
    import UnixSignals
#endif

/// `martlet serve`: the OpenAI- and Ollama-compatible server.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve models by the API that OpenAI's and Ollama's clients speak, with a page.",
        discussion: """
            Example: martlet serve -m path/to/model
            Then:    curl http://127.0.0.1:8642/v1/chat/completions -H 'content-type: application/json' \
            -d '{"messages":[{"role":"user","content":"Hello"}]}'

            Every option can stand in a YAML file (--config) or in the environment (MARTLET_PORT for --port): option, then environment, then file.
            The first SIGTERM or Ctrl-C takes no more work and ends when all is answered; a second one ends at once.
            """)

    @Option(
        name: [.short, .long],
        help: "A model, or NAME=MODEL; several are several models (default: the small model that ships with Martlet).")
    var model: [String] = []

    @Option(help: "The address to listen at (default 127.0.0.1).")
    var host: String?

    @Option(help: "The port; 0 takes a free one (default 8642).")
    var port: Int?

    @Option(help: "A file with one API key per line; every route but /health then asks for one.")
    var apiKeyFile: String?

    @Option(help: "Another name that the server answers as, where no keys are asked for (may be repeated).")
    var hostName: [String] = []

    @Option(help: "Another origin whose pages may ask, as https://example.org (may be repeated).")
    var origin: [String] = []

    @Option(help: "Threads that compute (default: the physical cores).")
    var threads: Int?

    @Option(help: "Texts that are written at once for each model (default 8); more wait.")
    var slots: Int?

    @Option(help: "Requests that are answered or wait at once (default 256); more are refused with 429.")
    var maxQueue: Int?

    @Option(help: "Tokens of prompts that are answered or wait at once (default 262144).")
    var maxQueueTokens: Int?

    @Option(help: "The longest body of a request in bytes (default 16777216).")
    var maxBody: Int?

    @Option(help: "The most seconds that one answer may take (default 600).")
    var requestSeconds: Int?

    @Option(help: "How long to wait for answers when told to stop (default 30).")
    var drainSeconds: Int?

    @Option(help: "Append every answered generation to this file, one JSON object a line, for martlet verify.")
    var answerLog: String?

    @Option(help: "A YAML file with these options.")
    var config: String?

    @Flag(help: "Listen at an address of the network although no keys are asked for.")
    var allowAnonymous = false

    @Flag(help: "Say what would be served, and end: 0 when it can be.")
    var check = false

    func run() async throws {
        let plan = try ServePlan(self)
        if check { return try plan.report() }
        #if Server
            try await ServeRun(plan).run()
        #else
            throw ModelError(
                "this martlet was built without its server; build it with the package trait Server, which is on by default"
            )
        #endif
    }
}

/// What is to be served, from options, environment and file.
struct ServePlan {
    let models: [(name: String, path: String)]
    let host: String
    let port: Int
    let threads: Int?
    let slots: Int
    let drainSeconds: Int
    var settings = ServiceSettings()

    /// - Throws: ``UsageError`` for settings that cannot be meant; what reading files throws.
    init(_ command: ServeCommand) throws {
        let sources = try SettingSources(file: command.config)
        let names = try sources.texts("model", command.model)
        models =
            names.isEmpty
            ? [("martlet", try EmbeddedModel.path())] : try names.map { try ServePlan.model($0) }
        if let twice = Dictionary(grouping: models, by: \.name).first(where: { $0.value.count > 1 })?.key {
            throw UsageError("two models are called \(twice); name them: -m NAME=MODEL")
        }
        host = try sources.text("host", command.host) ?? "127.0.0.1"
        port = try sources.integer("port", command.port, 0...65_535) ?? 8_642
        threads = try sources.integer("threads", command.threads, 1...1_024)
        slots = try sources.integer("slots", command.slots, 1...1_024) ?? 8
        drainSeconds = try sources.integer("drain-seconds", command.drainSeconds, 0...86_400) ?? 30
        settings.hostNames = try sources.texts("host-name", command.hostName).map { $0.lowercased() }
        settings.origins = try sources.texts("origin", command.origin)
        if let file = try sources.text("api-key-file", command.apiKeyFile) {
            settings.keys = KeyRing(file: try Input.text(file))
            if settings.keys.isEmpty { throw UsageError("\(file) holds no key") }
        }
        let limits = ServiceLimits()
        settings.limits.requests = try sources.integer("max-queue", command.maxQueue, 1...1 << 20) ?? limits.requests
        settings.limits.queuedTokens =
            try sources.integer("max-queue-tokens", command.maxQueueTokens, 1...1 << 40) ?? limits.queuedTokens
        settings.limits.bodyBytes =
            try sources.integer("max-body", command.maxBody, 1...1 << 30) ?? limits.bodyBytes
        settings.limits.requestSeconds =
            try sources.integer("request-seconds", command.requestSeconds, 1...86_400) ?? limits.requestSeconds
        let isAnonymous = settings.keys.isEmpty
        let isAllowed = try sources.flag("allow-anonymous", command.allowAnonymous)
        guard !isAnonymous || isAllowed || ["127.0.0.1", "localhost", "::1"].contains(host) else {
            throw UsageError(
                "--host \(host) lets the whole network ask: give --api-key-file, or --allow-anonymous to mean it")
        }
        if isAnonymous && isAllowed { settings.hostNames.append(host) }
        settings.log = { Output.logLine($0.serialized()) }
        if let file = try sources.text("answer-log", command.answerLog) {
            let log = try LineLog(file)
            settings.answerLog = { log.append($0.serialized()) }
        }
        try sources.finish()
    }

    /// NAME=MODEL, or a model that is called as its file or folder.
    private static func model(_ given: String) throws -> (name: String, path: String) {
        if !fileExists(given), let equals = given.utf8.firstIndex(of: UInt8(ascii: "=")), equals > given.startIndex {
            let path = try ModelLocation.path(of: String(given[given.utf8.index(after: equals)...]))
            return (String(given[..<equals]), path)
        }
        var name = given.split(separator: "/").last.map(String.init) ?? given
        if name.utf8.suffix(5).elementsEqual(".gguf".utf8) { name = String(name.dropLast(5)) }
        return (name, try ModelLocation.path(of: given))
    }

    /// Opens every model's files, and says what would be served.
    func report() throws {
        for (name, path) in models {
            let file = try ModelFile(path: path)
            Output.write("\(name): \(file.modelType), \(try file.inventory().total) parameters\n")
        }
        Output.write("http://\(host):\(port)/, \(settings.keys.isEmpty ? "no keys" : "with keys")\n")
    }
}

#if Server
    /// A server from its start to its end: listens, loads, serves, drains when it is told to.
    struct ServeRun {
        let plan: ServePlan

        init(_ plan: ServePlan) { self.plan = plan }

        func run() async throws {
            let service = ModelService(plan.settings)
            service.announce(plan.models.map(\.name))
            let server = HTTPServer(service, host: plan.host, port: plan.port)
            let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await server.run { port in Output.note("martlet: http://\(plan.host):\(port)/") }
                    return true
                }
                group.addTask {
                    try await load(into: service)
                    return false
                }
                group.addTask {
                    await stop(server, on: signals)
                    return false
                }
                // The first that fails ends all; else the server's end does.
                while let isEnd = try await group.next(), !isEnd {}
                group.cancelAll()
            }
        }

        private func load(into service: ModelService) async throws {
            for (name, path) in plan.models {
                let clock = ContinuousClock.now
                let model = try await ServedModel.load(name: name, path: path, threads: plan.threads, slots: plan.slots)
                service.add(model)
                let seconds = (ContinuousClock.now - clock).seconds
                Output.note(
                    "martlet: \(name) is loaded after \((seconds * 100).rounded() / 100) s (\(model.fingerprint))")
            }
        }

        private func stop(_ server: HTTPServer, on signals: UnixSignalsSequence) async {
            var isStopping = false
            await withDiscardingTaskGroup { group in
                for await _ in signals {
                    if isStopping { Output.end(130) }
                    isStopping = true
                    Output.note("martlet: taking no more work; a second signal ends at once")
                    group.addTask { await server.stop(after: Double(plan.drainSeconds)) }
                }
            }
        }
    }
#endif
