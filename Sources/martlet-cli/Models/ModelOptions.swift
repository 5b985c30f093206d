public import ArgumentParser
public import Martlet
import MartletModels
import MartletPlatform

/// The options for the model and the threads: the same words for every verb that computes.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: """
            A Hugging Face directory, a .gguf file, a run of martlet train, or org/name in the hub cache (default: the small model that ships \
            with Martlet).
            """)
    var model: String?

    @Option(help: "Compute threads (default: one per physical core).")
    var threads: Int?

    @Flag(help: "Report what in the model's files is ignored, repacked, or taken as a default.")
    var verbose = false

    @Flag(help: "Refuse a model with settings or tensors that are not read.")
    var strict = false

    @Option(help: "A low-rank adapter over the model: peft's or MLX's directory, or DIR=SCALE (may be repeated).")
    var adapter: [String] = []

    @Flag(help: "Pack the weights anew, and keep none in the cache folder for a later start.")
    var noPackedCache = false

    /// The model's file with the adapters that were named.
    func file() throws -> ModelFile { try file(orShipped: .writing) }

    /// The model's file with the adapters that were named; where no model was, that of the kind that ships.
    func file(orShipped kind: EmbeddedModel.Kind) throws -> ModelFile {
        var file = try adding(to: ModelFile(path: path(orShipped: kind)))
        file.ranks = Ranks.products
        file.packedCache = noPackedCache ? nil : .ofUser
        return file
    }

    /// The files and folders of the model and of its adapters, which no output may be.
    func inputs() throws -> [String] {
        try [location()] + adapter + adapter.compactMap { $0.split(separator: "=").first.map(String.init) }
    }

    /// `file` with the adapters that were named.
    func adding(to file: ModelFile) throws -> ModelFile {
        var file = file
        for name in adapter {
            let parts = name.split(separator: "=", maxSplits: 1).map(String.init)
            let isWhole = parts.count < 2 || fileExists(name)
            guard let scale = isWhole ? 1 : Float(parts[1]), scale.isFinite else {
                throw ModelError("--adapter \(name): what follows the = is no scale")
            }
            try file.add(adapter: isWhole ? name : parts[0], scale: scale)
        }
        return file
    }

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but must be between 1 and 1024.")
        }
    }

    /// The path of the model's files: of the one that was named, or of the one of this kind that ships with Martlet.
    func path(orShipped kind: EmbeddedModel.Kind = .writing) throws -> String {
        let path = try location(orShipped: kind)
        if model != nil, verbose || strict { try tell(ModelFile(path: path)) }
        return path
    }

    private func location(orShipped kind: EmbeddedModel.Kind = .writing) throws -> String {
        try model.map { name throws(ModelError) in try ModelLocation.path(of: name) } ?? EmbeddedModel.path(kind)
    }

    /// - Throws: ``ModelError`` with what nobody reads, where that is to be refused.
    private func tell(_ file: ModelFile) throws {
        let remarks = try file.remarks()
        if strict, let refused = remarks.unread {
            throw ModelError("\(file.path): \(refused). Leave out --strict to pass over them, as the reference does")
        }
        if verbose { for line in remarks.lines { Output.note("martlet: \(line)") } }
    }
}

extension CacheType: ExpressibleByArgument {}
