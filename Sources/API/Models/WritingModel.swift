import Martlet
import MartletLayers
import MartletModels
import MartletTasks
import MartletTensors

/// An encoder-decoder that writes, with what is read and written.
package struct WritingModel: Sendable {
    private let file: ModelFile
    private let model: EncoderDecoder
    let vocabulary: any WriterVocabulary
    private let device: Device

    init(_ file: ModelFile, _ model: EncoderDecoder, on device: Device) throws {
        (self.file, self.model, self.device) = (file, model, device)
        vocabulary = try ModelText.writerVocabulary(of: file)
    }

    /// A writer for one task and pair of languages; costs nothing.
    ///
    /// - Throws: ``APIError`` for a language that the model does not have.
    func writer(_ task: Writer.Task, _ languages: Writer.Languages) throws -> Writer {
        func writer(_ languages: Writer.Languages) throws -> Writer {
            try Writer(file, model, vocabulary, task: task, languages, on: device)
        }
        do {
            return try writer(languages)
        } catch let error as TaskError where languages != .init() {
            let isOfSource = languages.source != nil && (try? writer(.init(source: languages.source))) == nil
            throw APIError.invalid(
                "\(error)", isOfSource ? "source_language" : "target_language", code: "invalid_value")
        }
    }
}
