import MartletFormats
import MartletGeneration
package import MartletModels
import MartletPlatform
public import MartletTasks
import MartletTensors
import MartletTokenizers

/// The options for loading the model of a task.
public struct LoadOptions: Sendable, Hashable {
    /// The number of threads that compute; the physical cores when nil.
    public var threads: Int?
    /// The element type of matrices in memory: as stored, or rounded to eight bits when they are loaded, weights and
    /// activations then multiplied as int8.
    public var weights: Weights
    /// The way in which the files are read.
    public var files: Files

    /// The way in which a model's files are read.
    public enum Files: Sendable, Hashable {
        /// Mapped: nothing is read before it is needed, and weights that have been packed take no more memory. A file
        /// that somebody cuts short, as long as the model lives, ends the process with SIGBUS when what is missing is
        /// read; a library installs no handler of signals. For files that are replaced by renaming, as downloads and
        /// this library's own writers do, nothing happens.
        case mapped
        /// Copied into memory when they are opened: a file that is cut or written meanwhile is an error, and what
        /// happens to it later changes nothing. Takes the size of the files in memory while they are loaded, and as
        /// long as the model lives where it reads what is not packed.
        case copied

        var access: FileAccess { self == .mapped ? .mapped : .copied }
    }

    /// The element type that the matrices of a model become when they are loaded.
    public enum Weights: Sendable, Hashable {
        /// The type that they have in the file.
        case asStored
        /// Eight bits and a scale for every 32 elements.
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case q8_0
    }

    /// Options for loading; the defaults are the physical cores, and the weights as they are stored in mapped files.
    public init(threads: Int? = nil, weights: Weights = .asStored, files: Files = .mapped) {
        (self.threads, self.weights, self.files) = (threads, weights, files)
    }
}

extension ModelFile {
    /// The files of the model `name`, as ``ModelLocation`` finds them, with its matrices to become what `options` say.
    package init(named name: String, _ options: LoadOptions) throws {
        try self.init(path: ModelLocation.path(of: name), options.files.access)
        if options.weights == .q8_0 { matrices = .q8_0 }
    }
}

/// Runs `make` with the opened files of a model, its tokenizer and a device, on a thread of its own.
private func loading<Model: Sendable>(
    _ name: String, _ options: LoadOptions,
    _ make: @escaping @Sendable (ModelFile, Device) throws -> Model
) async throws(LoadError) -> Model {
    let result = await Task(executorPreference: ComputeThread()) { () -> Result<Model, LoadError> in
        Result { try make(ModelFile(named: name, options), Device(threads: options.threads)) }.mapError(LoadError.init)
    }.value
    return try result.get()
}

extension Embedder {
    /// Loads a model that turns texts into vectors: a directory, a GGUF file, or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> Embedder {
        try await loading(path, options) { try Embedder($0, ModelText.tokenizer(of: $0), on: $1) }
    }
}

extension Classifier {
    /// Loads a model that classifies texts: a directory or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> Classifier
    {
        try await loading(path, options) { try Classifier($0, ModelText.tokenizer(of: $0), on: $1) }
    }

    /// The classes of each text, the most probable first (a regression's in their own order).
    public func classify(_ texts: [String]) throws -> [[Score]] { try classify(texts.map { (text: $0, pair: nil) }) }
}

extension Tagger {
    /// Loads a model that finds named spans in texts: a directory or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> Tagger {
        try await loading(path, options) { try Tagger($0, ModelText.tokenizer(of: $0), on: $1) }
    }
}

extension Answerer {
    /// Loads a model that finds the answers to questions in texts: a directory or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> Answerer {
        try await loading(path, options) { try Answerer($0, ModelText.tokenizer(of: $0), on: $1) }
    }
}

extension MaskFiller {
    /// Loads a model that fills masks in texts: a directory or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> MaskFiller
    {
        try await loading(path, options) { try MaskFiller($0, ModelText.tokenizer(of: $0), on: $1) }
    }
}

extension Reranker {
    /// Loads a cross-encoder: a directory or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, _ options: LoadOptions = LoadOptions()) async throws(LoadError) -> Reranker {
        try await loading(path, options) { try Reranker($0, ModelText.tokenizer(of: $0), on: $1) }
    }
}

extension Writer {
    /// Loads an encoder-decoder that writes about texts: a directory or `org/name` in the hub cache.
    ///
    /// - Parameters:
    ///   - task: what is written; it selects the settings that the model's files keep for it.
    ///   - languages: those of a translation, where the model has several.
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(
        path: String, task: Writer.Task?, _ languages: Languages = Languages(), _ options: LoadOptions = LoadOptions()
    ) async throws(LoadError) -> Writer {
        try await loading(path, options) {
            try Writer($0, ModelText.writerVocabulary(of: $0), task: task, languages, on: $1)
        }
    }

    /// Loads a translator from `source` to `target`; both may be nil for a model of one pair of languages.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func translator(
        path: String, from source: String? = nil, to target: String? = nil, _ options: LoadOptions = LoadOptions()
    ) async throws(LoadError) -> Writer {
        try await load(path: path, task: .translation, .init(source: source, target: target), options)
    }

    /// Loads a model that summarizes.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func summarizer(
        path: String, _ options: LoadOptions = LoadOptions()
    ) async throws(LoadError) -> Writer {
        try await load(path: path, task: .summarization, Languages(), options)
    }
}

extension ModelText {
    /// The vocabulary in an encoder-decoder's folder: CTranslate2's, Marian's own, or a tokenizer.
    package static func writerVocabulary(of file: ModelFile) throws -> any WriterVocabulary {
        if file.modelType.utf8.elementsEqual("ctranslate2".utf8) { return try WordVocabulary(directory: file.path) }
        if !fileExists(file.path + "/tokenizer.json"), MarianVocabulary.isIn(file.path) {
            return try MarianVocabulary(directory: file.path)
        }
        return try tokenizer(of: file)
    }
}
