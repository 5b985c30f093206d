import ArgumentParser
import Martlet
import MartletAPI
import MartletDistributed
import MartletJSON
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
        help: "A model, or NAME=MODEL; several are several models (default: the two small ones that ship with Martlet)."
    )
    var model: [String] = []

    @Option(help: "A low-rank adapter over the model called NAME: NAME=DIR, or NAME=DIR=SCALE (may be repeated).")
    var adapter: [String] = []

    @Option(
        help:
            "A smaller model that guesses what the one called NAME writes: NAME=MODEL, or MODEL for the first (may be repeated)."
    )
    var draft: [String] = []

    @Option(help: "A folder whose models are loaded when somebody asks for them by name.")
    var modelsFolder: String?

    @Option(help: "The most models that are loaded at once; the one that was used longest ago makes room.")
    var maxModels: Int?

    @Option(help: "A model that nobody has asked for in so many seconds is let go; the next request loads it again.")
    var idleSeconds: Int?

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

    @OptionGroup var ranks: RankOptions

    @Option(help: "Texts that are written at once for each model (default 8); more wait.")
    var slots: Int?

    @Option(help: "The longest text in tokens, prompt and answer together (default: the model's context).")
    var context: Int?

    @Option(help: "What keys and values are kept as: f32, f16, bf16, q8_0 (default f32).")
    var cache: String?

    @Option(help: "The most memory of keys and values for each model, as 2GiB (default: what the slots need).")
    var kvMemory: String?

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

    @Flag(help: "Pack the weights anew, and keep none in the cache folder for a later start.")
    var noPackedCache = false

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
            guard MPICommunicator.isLaunched || ranks.ranks ?? 1 > 1 else { return try await ServeRun(plan).run() }
            let model = try plan.onlyModel()
            try await Ranks.lead(ranks, threads: plan.loading.threads, model.file) { try await ServeRun(plan).run() }
        #else
            throw ModelError(
                "this martlet was built without its server; build it with the package trait Server, which is on by default"
            )
        #endif
    }
}

#if Server
    /// A server from its start to its end: listens, loads, serves, drains when it is told to.
    struct ServeRun {
        let plan: ServePlan

        init(_ plan: ServePlan) { self.plan = plan }

        func run() async throws {
            let service = ModelService(plan.settings)
            for model in plan.models {
                let ranks = Ranks.products
                service.register(model.name, isAwaited: !model.isOnDemand) { [plan] in
                    var (file, settings) = (try model.file(), plan.loading)
                    (file.ranks, file.packedCache) = (ranks, settings.packedCache)
                    settings.draft = model.draft
                    return try await ServedModel.load(name: model.name, file, settings, shared: model.shared)
                }
            }
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
                group.addTask {
                    await evict(from: service)
                    return false
                }
                // The first that fails ends all; else the server's end does.
                while let isEnd = try await group.next(), !isEnd {}
                group.cancelAll()
            }
        }

        private func load(into service: ModelService) async throws {
            for wanted in plan.models where !wanted.isOnDemand {
                let clock = ContinuousClock.now
                let model = try await service.registry.load(wanted.name)
                let seconds = (ContinuousClock.now - clock).seconds
                Output.note(
                    "martlet: \(wanted.name) is loaded after \((seconds * 100).rounded() / 100) s (\(model.fingerprint))"
                )
            }
        }

        /// Lets models go that nobody asks for.
        private func evict(from service: ModelService) async {
            guard let seconds = plan.idleSeconds else { return }
            while (try? await Task.sleep(for: .seconds(max(1, min(10, seconds / 2))))) != nil {
                for name in service.registry.evict(idleFor: Double(seconds)) {
                    Output.note("martlet: \(name) is let go after \(seconds) s without a request")
                }
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
