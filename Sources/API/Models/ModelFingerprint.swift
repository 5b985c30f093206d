import MartletFormats
import MartletModels
import MartletPlatform
import MartletTensors

/// The fingerprint of a served model, what an answer's bits depend on besides the request: the model's bytes and the
/// arithmetic.
///
/// Threads, instruction sets, other requests and the cutting of prompts are no part of it: they change no bit.
enum ModelFingerprint {
    /// Raised when a release changes bits of results on purpose.
    private static let arithmetic = "martlet-arithmetic-1"

    /// `fp_` and 16 hexadecimal digits.
    ///
    /// - Parameter cache: what keys and values are kept as.
    /// - Throws: ``FileError`` for files that cannot be read.
    static func of(_ file: ModelFile, cache: ElementType) throws -> String {
        var fingerprint = Fingerprint()
        fingerprint.add(arithmetic)
        fingerprint.add(file.matrices.map { "\($0)" } ?? "as stored")
        if cache != .f32 { fingerprint.add("cache \(cache)") }
        switch file.container {
        case .gguf(let gguf): try fingerprint.add(file: gguf.path)
        case .directory(let folder):
            let hasTokenizer = fileExists(folder + "/tokenizer.json")
            for name in files + (hasTokenizer ? [] : vocabularies) where fileExists(folder + "/" + name) {
                fingerprint.add(name)
                try fingerprint.add(file: folder + "/" + name)
            }
            for name in file.tensors.paths { try fingerprint.add(file: name) }
        }
        for adapter in file.adapters {
            fingerprint.add("adapter \(adapter.strength)")
            for name in ["adapter_config.json", "adapter_model.safetensors", "adapters.safetensors"]
            where fileExists(adapter.path + "/" + name) {
                try fingerprint.add(file: adapter.path + "/" + name)
            }
        }
        return "fp_" + String(fingerprint.description.prefix(16))
    }

    /// The files beside the weights that decide what is computed.
    private static let files = [
        "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json",
        "modules.json",
    ]

    /// The files that are read in place of a tokenizer.json.
    private static let vocabularies = [
        "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "vocab.json", "vocab.txt",
        "merges.txt", "vocab.bpe", "added_tokens.json", "special_tokens_map.json", "source.spm", "target.spm",
        "tekken.json",
    ]
}
