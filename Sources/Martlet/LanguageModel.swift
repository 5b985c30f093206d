import MartletFormats
public import MartletGeneration
public import MartletLayers
package import MartletModels
public import MartletTensors
public import MartletTokenizers

#if canImport(FoundationEssentials)
    public import struct FoundationEssentials.URL
#else
    public import struct Foundation.URL
#endif

/// A language model with its tokenizer, ready to continue texts.
///
/// ```swift
/// let model = try await LanguageModel.load(path: "Qwen/Qwen2.5-0.5B-Instruct")
/// let story = try model.generate("Once upon a time")
/// for try await piece in story { print(piece, terminator: "") }
/// ```
///
/// Safe to share: generations that run at once take turns on the device, and each keeps its own state. Nothing here is global, and no
/// signal handler is installed.
public final class LanguageModel: Sendable {
    /// The description of the model.
    public let architecture: Architecture
    /// The tokenizer that came with the model.
    public let tokenizer: Tokenizer
    /// Tokens that end a text, as the model's files name them.
    public let endOfTextTokens: Set<Int32>
    /// How the model's makers mean it to generate: its generation_config.json.
    package let defaults: GenerationDefaults
    /// The device on which the model computes.
    public let device: Device
    package let decoder: Decoder
    /// The chat template, or what is wrong with it; only conversations ask.
    package let chat: Result<ChatFormat, GenerationError>
    package let thread = ComputeThread()

    private init(file: ModelFile, decoder: Decoder, tokenizer: Tokenizer, device: Device) throws {
        architecture = file.architecture
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.device = device
        endOfTextTokens = try ModelText.endOfTextTokens(file, tokenizer)
        defaults = try ModelText.generationDefaults(file)
        chat = ChatFormat.reading(file, tokenizer)
    }

    /// Loads a Hugging Face directory or a GGUF file.
    ///
    /// - Parameter threads: how many compute at once; the physical cores when nil.
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(from url: URL, threads: Int? = nil) async throws(LoadError) -> LanguageModel {
        try await load(path: url.path, threads: threads)
    }

    /// Loads a Hugging Face directory, a GGUF file, a run of the trainer, or `org/name` in the hub cache.
    ///
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(path: String, threads: Int? = nil) async throws(LoadError) -> LanguageModel {
        try await load(path: path, threads: threads) { try ModelFile(path: ModelLocation.path(of: path)) }
    }

    /// Loads the model that `open` gives, which may have adapters; `path` is what messages call it.
    package static func load(
        path: String, threads: Int? = nil, _ open: @escaping @Sendable () throws -> ModelFile
    ) async throws(LoadError) -> LanguageModel {
        let thread = ComputeThread()
        guard thread.isRunning else {
            throw LoadError(
                ModelError("\(path): the system grants no thread to compute on; raise its limit (ulimit -u)"))
        }
        let result = await Task(executorPreference: thread) { () -> Result<LanguageModel, LoadError> in
            do {
                return .success(try await read(open(), threads: threads))
            } catch {
                return .failure(LoadError(error))
            }
        }.value
        return try result.get()
    }

    /// Reads a model on the thread that calls.
    private static func read(_ file: ModelFile, threads: Int?) async throws -> LanguageModel {
        // The vocabulary is read while the weights are packed, by a thread of Swift's own.
        let tokenizer = Task.detached { try ModelText.tokenizer(of: file) }
        let device = Device(threads: threads)
        let decoder = try file.decoder(on: device)
        let model = try LanguageModel(
            file: file, decoder: decoder, tokenizer: await tokenizer.value, device: device)
        file.tensors.release()
        return model
    }

    /// The ids of a text, with the special tokens that the model expects around it.
    public func tokens(of text: String) throws(TokenizerError) -> [Int32] { try tokenizer.encode(text) }

    /// Continues `prompt`, piece by piece, as the model's files say unless told otherwise. Ending the loop, or cancelling its task, ends the generation within one step.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request, before anything is computed.
    public func generate(
        _ prompt: String, _ options: GenerationOptions? = nil
    ) throws(GenerationError) -> GeneratedText {
        let tokens: [Int32]
        do {
            tokens = try self.tokens(of: prompt)
        } catch {
            throw GenerationError(.request, error.offences)
        }
        return try generate(tokens: tokens, options)
    }

    /// Continues the tokens `prompt`.
    ///
    /// - Parameter memory: remembers the text, and saves what an earlier one that began alike has computed. For one text at a time.
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request, before anything is computed.
    public func generate(
        tokens prompt: [Int32], _ options: GenerationOptions? = nil, memory: TextMemory? = nil
    ) throws(GenerationError) -> GeneratedText {
        let options = options ?? GenerationOptions(defaults, after: prompt.count)
        try TextGenerator.check(self, prompt: prompt, options)
        return GeneratedText(pieces(prompt, options, memory))
    }

    private func pieces(
        _ prompt: [Int32], _ options: GenerationOptions, _ memory: TextMemory?
    ) -> AsyncThrowingStream<GeneratedPiece, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task(executorPreference: thread) {
                do {
                    var generator = try TextGenerator(self, prompt: prompt, options, memory: memory?.take())
                    var isKept = false
                    defer { if !isKept { memory?.put(generator.memory) } }
                    while !Task.isCancelled, let piece = try generator.next() {
                        if piece.summary != nil {
                            // Whoever reads the last piece may begin another text at once, which finds this one.
                            memory?.put(generator.memory)
                            isKept = true
                        }
                        continuation.yield(piece)
                        // Others who generate with this model get their turn.
                        await Task.yield()
                    }
                    continuation.finish(throwing: Task.isCancelled ? CancellationError() : nil)
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}
