import Martlet
import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors

/// Writes a model with its tokenizer as a GGUF file, and says what the format has no words for.
enum GGUFExport {
    /// - Parameters:
    ///   - name: where the model comes from; its last part is what the file calls it.
    ///   - type: of the matrices; nil for the types they have.
    static func write(
        _ file: ModelFile, _ export: ModelExport, to path: String, name: String, type: ElementType?,
        withTokenizer: Bool = true
    ) throws {
        let name = name.split(separator: "/").last.map(String.init) ?? name
        let text: GGUFMetadata =
            switch file.container {
            case _ where !withTokenizer: [:]
            case .gguf(let gguf): TokenizerConversion.metadata(of: gguf)
            case .directory(let path):
                try TokenizerConversion.metadata(ofDirectory: path, vocabulary: file.architecture.vocabulary)
            }
        try export.writeGGUF(to: path, name: name, text: text, type: type)
        for caveat in export.caveats { Output.note(caveat) }
    }
}
