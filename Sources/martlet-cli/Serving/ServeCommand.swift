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

/// `martlet serve`: the server of OpenAI's, Anthropic's and Ollama's clients.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve models by the API that OpenAI's, Anthropic's and Ollama's clients speak, with a page.",
        discussion: """
            Example: martlet serve -m path/to/model
            Then:    curl http://127.0.0.1:8642/v1/chat/completions -H 'content-type: application/json' \
            -d '{"messages":[{"role":"user","content":"Hello"}]}'

            Every option can also be set in the environment (MARTLET_PORT for --port) or in a YAML file (--config); \
            the command line goes before the environment, and that before the file.

            The first SIGTERM or Ctrl-C drains: no more work is taken, and the server exits when all is answered. A \
            second one exits at once.
            """)

    @Option(
        name: [.short, .long],
        help: "A model, or NAME=MODEL (may be repeated; default: the two small ones that ship with Martlet)."
    )
    var model: [String] = []

    @Option(help: "A low-rank adapter over the model called NAME: NAME=DIR, or NAME=DIR=SCALE (may be repeated).")
    var adapter: [String] = []

    @Option(
        help:
            "A draft model for speculative decoding: NAME=MODEL, or MODEL for the first (may be repeated)."
    )
    var draft: [String] = []

    @Option(help: "A folder whose models are loaded when requests name them.")
    var modelsFolder: String?

    @Option(help: "The maximum number of loaded models; the least recently used one makes room.")
    var maxModels: Int?

    @Option(help: "Unload a model after this many seconds without requests; the next request loads it again.")
    var idleSeconds: Int?

    @Option(help: "The address to listen on (default 127.0.0.1).")
    var host: String?

    @Option(help: "The port; 0 takes a free one (default 8642).")
    var port: Int?

    @Option(help: "A file with one API key per line; every route but /health then requires one.")
    var apiKeyFile: String?

    @Option(help: "Another host name to answer to, where no keys are required (may be repeated).")
    var hostName: [String] = []

    @Option(help: "Another origin whose pages may send requests, as https://example.org (may be repeated).")
    var origin: [String] = []

    @Option(help: "Compute threads (default: one per physical core).")
    var threads: Int?

    @OptionGroup var ranks: RankOptions

    @Option(help: "The number of texts that each model writes at once (default 8); more wait.")
    var slots: Int?

    @Option(help: "The maximum length of a text in tokens, prompt and answer together (default: the model's context).")
    var context: Int?

    @Option(help: "The element type of the KV cache: f32, f16, bf16 or q8_0 (default f32).")
    var cache: String?

    @Option(help: "The memory of each model's KV cache, as 2GiB (default: what the slots need).")
    var kvMemory: String?

    @Option(help: "The maximum number of requests that are answered or wait (default 256); more are refused with 429.")
    var maxQueue: Int?

    @Option(help: "The maximum number of prompt tokens that are answered or wait (default 262144).")
    var maxQueueTokens: Int?

    @Option(help: "The maximum size of a request's body in bytes (default 16777216).")
    var maxBody: Int?

    @Option(help: "The maximum time of one answer in seconds (default 600).")
    var requestSeconds: Int?

    @Option(help: "The seconds to wait for answers when stopping (default 30).")
    var drainSeconds: Int?

    @Option(help: "Append every answered generation to this file, one JSON object a line, for martlet verify.")
    var answerLog: String?

    @Flag(help: "Pack the weights anew, and keep none in the cache folder for a later start.")
    var noPackedCache = false

    @Option(help: "A YAML file with these options.")
    var config: String?

    @Flag(help: "Listen on a network address although no keys are required.")
    var allowAnonymous = false

    @Flag(help: "Report what would be served and exit; 0 where it can be.")
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

        /// Lets all threads allocate from four heaps, where glibc would give each its own: what one thread frees,
        /// another cannot use there, and a third of the heaps is holes after some minutes. Other libraries know no such
        /// call.
        private static func shareHeaps() {
            typealias SetOption = @convention(c) (Int32, Int32) -> Int32
            let mostArenas: Int32 = -8  // M_ARENA_MAX of malloc.h
            guard let symbol = unsafe dlsym(nil, "mallopt") else { return }
            _ = unsafe unsafeBitCast(symbol, to: SetOption.self)(mostArenas, 4)
        }

        func run() async throws {
            ServeRun.shareHeaps()
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
