import ArgumentParser
import Martlet
import MartletHub
import MartletJSON
import MartletPlatform

/// `martlet pull`: a model from the hub.
struct PullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Fetch a model from the hub.",
        discussion: """
            Examples: martlet pull Qwen/Qwen2.5-0.5B-Instruct
                      martlet pull bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M

            Models are kept in the cache of Hugging Face's tools. Only the files that are needed are fetched: \
            safetensors in preference to PyTorch's, or one quantization of a GGUF. An interrupted download is resumed; \
            every file's digest is checked before it is used.

            Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, https_proxy, no_proxy.
            """)

    @Argument(help: "ORG/NAME, or ORG/NAME:FILE-OR-QUANTIZATION.")
    var name: String

    @Option(help: "A branch, a tag or a commit.")
    var revision = "main"

    @Option(help: "The hub's address (default: HF_ENDPOINT, else https://huggingface.co).")
    var endpoint: String?

    @Flag(help: "Make no connection: say where the model is, if it is here.")
    var offline = false

    func run() throws {
        var settings = HubSettings()
        if let endpoint {
            guard endpoint.hasPrefix("http://") || endpoint.hasPrefix("https://") else {
                throw UsageError("--endpoint is \"\(endpoint)\", but begins with https:// or http://")
            }
            settings.endpoint = endpoint
        }
        if offline { settings.isOffline = true }
        Output.write(try PullCommand.fetch(HubName(name), revision: revision, settings) + "\n")
    }

    /// Fetches a model, telling its progress, and returns where it is.
    fileprivate static func fetch(_ name: HubName, revision: String = "main", _ settings: HubSettings) throws -> String
    {
        let progress = PullProgress()
        defer { progress.end() }
        return try HubPull(settings, progress.show).pull(name, revision: revision)
    }
}

/// The offer to fetch a model that is not here, made where somebody sits at a terminal.
enum PullOffer {
    /// Fetches the model that `error` says is missing, if the person wants it.
    ///
    /// - Returns: whether it is here now.
    /// - Throws: what fetching throws.
    static func isTaken(after error: any Error) throws -> Bool {
        let settings = HubSettings()
        guard isatty(0) == 1, isatty(2) == 1, !settings.isOffline, let name = HubCache.missing(in: error) else {
            return false
        }
        Output.line("\(name) is not here. Fetch it from \(settings.endpoint)? [Y/n] ")
        guard let answer = readLine()?.lowercased(), ["", "y", "yes"].contains(answer) else { return false }
        _ = try PullCommand.fetch(HubName(name), settings)
        return true
    }
}

/// The progress of a download, told on standard error.
private final class PullProgress {
    private var last = ""
    private let isTerminal = isatty(2) == 1

    func show(_ event: HubPull.Event) {
        switch event {
        case .files(let count, let bytes):
            note("\(count) \(count == 1 ? "file" : "files"), \(PullProgress.size(bytes))")
        case .progress(let path, let done, let all):
            guard isTerminal else { return }
            let line = "\(path): \(PullProgress.size(done)) of \(PullProgress.size(all))"
            guard line != last else { return }
            last = line
            Output.line("\r\(line)\u{1B}[K")
        case .waiting(let path): note("\(path): another process fetches it; waiting")
        case .retry(let path, let reason): note("\(path): \(reason); going on")
        }
    }

    func end() { if isTerminal, !last.isEmpty { Output.line("\r\u{1B}[K") } }

    private func note(_ line: String) {
        end()
        last = ""
        Output.note("martlet: \(line)")
    }

    static func size(_ bytes: Int) -> String {
        let tenths = bytes / 100_000
        return bytes < 1_000_000 ? "\(bytes / 1_000) kB" : "\(tenths / 10).\(tenths % 10) MB"
    }
}

/// `martlet list`: what the cache holds.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the models in the hub's cache.", discussion: "Example: martlet list --json"
    )

    @OptionGroup var form: ResultForm

    func run() throws {
        let entries = HubListing.entries(in: HubSettings().cache)
        guard form.isJSON else {
            let width = entries.map(\.name.utf8.count).max() ?? 0
            for entry in entries {
                let padding = String(repeating: " ", count: width - entry.name.utf8.count)
                let revisions = entry.revisions.map { "\($0.name) \($0.commit.prefix(8))" }.joined(separator: ", ")
                Output.write(
                    "\(entry.name)\(padding)  \(PullProgress.size(entry.bytes))  \(revisions)"
                        + (entry.isPartial ? "  (not whole)" : "") + "\n")
            }
            return
        }
        form.write(
            each: entries.map { entry in
                [
                    "name": .string(entry.name), "bytes": .integer(entry.bytes), "path": .string(entry.path),
                    "partial": .bool(entry.isPartial),
                    "revisions": .object(
                        entry.revisions.reduce(into: JSONObject()) { $0[$1.name] = .string($1.commit) }),
                ]
            })
    }
}

/// `martlet rm`: takes a model out of the cache.
struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a model from the hub's cache.",
        discussion: "Example: martlet rm Qwen/Qwen2.5-0.5B-Instruct --yes")

    @Argument(help: "ORG/NAME.")
    var name: String

    @Flag(help: "Do not ask for confirmation.")
    var yes = false

    func run() throws {
        let name = try HubName(name)
        guard name.selection == nil else {
            throw UsageError("rm takes whole models: \(name), without what stands behind the colon")
        }
        let cache = HubSettings().cache
        if !yes {
            guard isatty(0) == 1 else {
                throw UsageError("rm asks before it takes a model away; give --yes in scripts")
            }
            Output.line("Take \(name) out of \(cache)? [y/N] ")
            guard readLine()?.lowercased() == "y" else { throw StoppedWork() }
        }
        let bytes = try HubListing.remove(name, from: cache)
        Output.note("martlet: \(name) is gone, \(PullProgress.size(bytes)) are free")
    }
}
