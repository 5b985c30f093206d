import MartletFormats
import MartletGeneration
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
/// let model = try await LanguageModel.load(from: url)
/// for try await piece in model.generate("Once upon a time") { print(piece, terminator: "") }
/// ```
///
/// Safe to share: generations that run at once take turns on the device, and each keeps its own state. Nothing here is global, and no
/// signal handler is installed.
public final class LanguageModel: Sendable {
    public let architecture: Architecture
    public let tokenizer: Tokenizer
    /// Tokens that end a text, as the model's files name them.
    public let endOfTextTokens: Set<Int32>
    public let device: Device
    package let decoder: Decoder
    private let thread = ComputeThread()

    private init(file: ModelFile, decoder: Decoder, tokenizer: Tokenizer, device: Device) throws {
        architecture = file.architecture
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.device = device
        endOfTextTokens = try ModelText.endOfTextTokens(file, tokenizer)
    }

    /// Loads a Hugging Face directory or a GGUF file.
    ///
    /// - Parameter threads: how many compute at once; the physical cores when nil.
    /// - Throws: an error whose description names every cause and its remedy.
    public static func load(from url: URL, threads: Int? = nil) async throws -> LanguageModel {
        try await load(path: url.path, threads: threads)
    }

    /// Loads a Hugging Face directory or a GGUF file.
    public static func load(path: String, threads: Int? = nil) async throws -> LanguageModel {
        let thread = ComputeThread()
        return try await Task(executorPreference: thread) {
            let file = try ModelFile(path: path)
            // The vocabulary is read while the weights are packed, by a thread of Swift's own.
            let tokenizer = Task.detached { try ModelText.tokenizer(of: file) }
            let device = Device(threads: threads)
            let decoder = try file.decoder(on: device)
            let model = try LanguageModel(
                file: file, decoder: decoder, tokenizer: await tokenizer.value, device: device)
            file.tensors.release()
            return model
        }.value
    }

    /// The ids of a text, with the special tokens that the model expects around it.
    public func tokens(of text: String) throws(TokenizerError) -> [Int32] { try tokenizer.encode(text) }

    /// Continues `prompt`, piece by piece. Ending the loop, or cancelling its task, ends the generation within one step.
    public func generate(
        _ prompt: String, _ options: GenerationOptions = GenerationOptions()
    ) -> AsyncThrowingStream<GeneratedPiece, any Error> {
        generate(options) { try self.tokens(of: prompt) }
    }

    /// Continues the tokens `prompt`.
    ///
    /// - Parameter memory: remembers the text, and saves what an earlier one that began alike has computed. For one text at a time.
    public func generate(
        tokens prompt: [Int32], _ options: GenerationOptions = GenerationOptions(), memory: TextMemory? = nil
    ) -> AsyncThrowingStream<GeneratedPiece, any Error> {
        generate(options, memory) { prompt }
    }

    private func generate(
        _ options: GenerationOptions, _ memory: TextMemory? = nil, _ prompt: @escaping @Sendable () throws -> [Int32]
    ) -> AsyncThrowingStream<GeneratedPiece, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task(executorPreference: thread) {
                do {
                    var generator = try TextGenerator(self, prompt: prompt(), options, memory: memory?.take())
                    defer { memory?.put(generator.memory) }
                    while !Task.isCancelled, let piece = try generator.next() {
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
