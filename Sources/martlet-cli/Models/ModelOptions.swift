public import ArgumentParser
public import Martlet

/// Which model, and how many threads: the same words for every verb that computes.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: """
            A Hugging Face directory, a .gguf file, a run of martlet train, or org/name in the hub cache (default: the small model that ships \
            with Martlet).
            """)
    var model: String?

    @Option(help: "Threads that compute (default: the physical cores).")
    var threads: Int?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but lies between 1 and 1024.")
        }
    }

    /// Where the model's files are: of the one that was named, or of the one that ships with Martlet.
    func path() throws -> String {
        guard let model else { return try EmbeddedModel.path() }
        return try ModelLocation.path(of: model)
    }
}

extension CacheType: ExpressibleByArgument {}
