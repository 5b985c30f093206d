import ArgumentParser
import Martlet
import MartletModels
import MartletPlatform
import MartletTensors

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
        guard let model else { return try ShippedModel.path() }
        return try ModelOptions.path(of: model)
    }

    /// Where the files of the model called `name` are: itself, or its snapshot in the hub cache.
    static func path(of name: String) throws(ModelError) -> String {
        if unsafe access(name, F_OK) == 0 { return run(name) ?? name }
        if let cached = HubCache.snapshot(of: name) { return cached }
        throw ModelError(
            "\(name): there is no such file or directory, nor a model of this name in the hub cache \(HubCache.folder)")
    }

    /// The model of a run of our trainer, where `name` is its folder.
    private static func run(_ name: String) -> String? {
        let model = name + "/model"
        return unsafe access(name + "/recipe.yaml", F_OK) == 0 && access(model, F_OK) == 0 ? model : nil
    }
}

/// What keys and values are kept as between steps.
enum CacheType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0 = "q8_0"

    var elementType: ElementType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q8_0: .q8_0
        }
    }
}

/// The folder where Hugging Face's tools keep downloaded models.
enum HubCache {
    /// `HF_HUB_CACHE`, else `HF_HOME`/hub, else `XDG_CACHE_HOME`/huggingface/hub, else ~/.cache/huggingface/hub.
    static var folder: String {
        if let folder = variable("HF_HUB_CACHE") { return folder }
        if let home = variable("HF_HOME") { return home + "/hub" }
        return (variable("XDG_CACHE_HOME") ?? (variable("HOME") ?? "") + "/.cache") + "/huggingface/hub"
    }

    /// The snapshot that `refs/main` of `org/name` points to.
    static func snapshot(of name: String) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") }) else { return nil }
        let model = "\(folder)/models--\(parts[0])--\(parts[1])"
        guard let reference = try? Input.text(model + "/refs/main") else { return nil }
        let commit = reference.filter { !$0.isWhitespace }
        let snapshot = "\(model)/snapshots/\(commit)"
        return unsafe access(snapshot, F_OK) == 0 ? snapshot : nil
    }

    private static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
