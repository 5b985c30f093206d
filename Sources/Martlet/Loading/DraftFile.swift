import MartletFormats
import MartletJSON
import MartletLayers
package import MartletModels
import MartletServing
package import MartletTokenizers

/// A draft model on disk: a smaller decoder that reads and writes the tokens of a larger one.
package struct DraftFile: Sendable {
    package let file: ModelFile

    /// - Throws: ``ModelError`` for a model whose vocabulary is of another size than that of `model`, with both; what
    ///   opening throws.
    package init(_ path: String, _ access: FileAccess = .mapped, for model: ModelFile) throws {
        var file = try ModelFile(path: ModelLocation.path(of: path), access)
        file.packedCache = model.packedCache
        self.file = file
        let offences = file.architecture.offences(drafting: model.architecture)
        guard offences.isEmpty else {
            throw ModelError("\(file.path), to draft for \(model.path): " + offences.joined(separator: "; "))
        }
    }

    /// - Throws: ``ModelError`` naming the first token that is another one in this model's vocabulary than in
    ///   `tokenizer`, that of `model`.
    package func check(_ tokenizer: Tokenizer, of model: ModelFile) throws {
        let own = try ModelText.tokenizer(of: file)
        for id in 0..<Int32(clamping: max(own.vocabularySize, tokenizer.vocabularySize)) {
            let (here, there) = (own.bytes(ofToken: id), tokenizer.bytes(ofToken: id))
            guard here != there else { continue }
            func spelled(_ token: [UInt8]?) -> String {
                token.map { String(decoding: $0, as: UTF8.self).quoted } ?? "none"
            }
            throw ModelError(
                "\(file.path), to draft for \(model.path): token \(id) is \(spelled(here)) here and \(spelled(there)) "
                    + "there; give a draft model with the same vocabulary")
        }
    }
}
