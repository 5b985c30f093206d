import MartletFormats
package import MartletGeneration
package import MartletJSON
package import MartletModels
import MartletPlatform
package import MartletTokenizers

/// The text side of a model's files: its tokenizer, and the tokens that end a text.
package enum ModelText {
    /// The tokenizer of a model.
    ///
    /// - Throws: what reading the files throws; each error names its file.
    package static func tokenizer(of file: ModelFile) throws -> Tokenizer {
        switch file.container {
        case .gguf(let gguf): try tokenizer(of: gguf)
        case .directory(let path): try tokenizer(directory: path)
        }
    }

    /// The tokenizer of a folder: its `tokenizer.json`, or what older tokenizers were saved in.
    private static func tokenizer(directory path: String) throws -> Tokenizer {
        if !fileExists(path + "/tokenizer.json"), let json = try SlowTokenizer.json(in: path) {
            do { return try Tokenizer(json: json) } catch { throw error.inFile(path) }
        }
        return try tokenizer(path: path + "/tokenizer.json")
    }

    /// The tokenizer in a GGUF file, or of a file of its own.
    package static func tokenizer(path: String) throws -> Tokenizer {
        if ModelFile.isGGUF(path) { return try tokenizer(of: GGUF(contentsOf: path)) }
        let bytes = try fileBytes(path)
        do {
            return try Tokenizer(json: bytes)
        } catch {
            throw error.inFile(path)
        }
    }

    /// The tokenizer.json that says what a GGUF's metadata say.
    package static func tokenizerJSON(of path: String) throws -> JSON {
        try vocabulary(of: GGUF(contentsOf: path)).tokenizerJSON()
    }

    private static func tokenizer(of gguf: GGUF) throws -> Tokenizer {
        try Tokenizer(gguf: vocabulary(of: gguf))
    }

    /// The vocabulary of a GGUF, what it holds under `tokenizer.ggml`. Source: the GGUF specification.
    static func vocabulary(of gguf: GGUF) throws -> GGUFVocabulary {
        let metadata = gguf.metadata
        func key(_ name: String) -> String { "tokenizer.ggml." + name }
        func id(_ name: String) throws -> Int32? { try metadata.integer(key(name)).flatMap { Int32(exactly: $0) } }
        func strings(_ name: String) throws -> ByteStrings? {
            try metadata.joinedByteStrings(key(name)).map { ByteStrings(bytes: $0.bytes, ends: $0.ends) }
        }
        guard let model = try metadata.string(key("model")), let tokens = try strings("tokens") else {
            throw ModelError(
                "\(gguf.path): the file has no vocabulary (tokenizer.ggml.model and tokenizer.ggml.tokens)")
        }
        var vocabulary = GGUFVocabulary(model: model, pre: try metadata.string(key("pre")), tokens: tokens)
        vocabulary.scores = try metadata.floats(key("scores")) ?? []
        vocabulary.types = try (metadata.integers(key("token_type")) ?? []).map { Int32(clamping: $0) }
        vocabulary.merges = try strings("merges") ?? []
        vocabulary.beginningID = try id("bos_token_id")
        vocabulary.endID = try id("eos_token_id")
        vocabulary.otherEndIDs = try ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"].compactMap {
            try id($0 + "_token_id")
        }
        vocabulary.unknownID = try id("unknown_token_id")
        vocabulary.separatorID = try id("seperator_token_id")  // The specification spells it so.
        vocabulary.paddingID = try id("padding_token_id")
        vocabulary.classifierID = try id("cls_token_id")
        vocabulary.maskID = try id("mask_token_id")
        vocabulary.addsBeginning = try metadata.bool(key("add_bos_token"))
        vocabulary.addsEnd = try metadata.bool(key("add_eos_token"))
        vocabulary.addsSeparator = try metadata.bool(key("add_sep_token"))
        vocabulary.addsSpacePrefix = try metadata.bool(key("add_space_prefix"))
        vocabulary.removesExtraWhitespace = try metadata.bool(key("remove_extra_whitespaces"))
        vocabulary.precompiledCharsmap =
            try (metadata.integers(key("precompiled_charsmap")) ?? []).map { UInt8(truncatingIfNeeded: $0) }
        vocabulary.chatTemplate = try metadata.string("tokenizer.chat_template")
        return vocabulary
    }

    /// The tokens that end a text: those of generation_config.json, else of config.json; of a GGUF's metadata.
    package static func endOfTextTokens(_ file: ModelFile, _ tokenizer: Tokenizer) throws -> Set<Int32> {
        guard case .directory(let path) = file.container else { return Set(tokenizer.specialTokens.ends) }
        let generation = path + "/generation_config.json"
        if unsafe access(generation, F_OK) == 0,
            let ids = try ids(JSON(contentsOf: generation, as: .python)["eos_token_id"], generation)
        {
            return ids
        }
        return try ids(ModelFile.config(in: path)["eos_token_id"], path + "/config.json") ?? []
    }

    /// The generation defaults of a model's files: generation_config.json, or where there is none what config.json
    /// keeps of it.
    package static func generationDefaults(_ file: ModelFile) throws -> GenerationDefaults {
        guard case .directory(let path) = file.container else { return .none }
        let generation = path + "/generation_config.json"
        guard fileExists(generation) else {
            return try GenerationDefaults(file.config(), path: path + "/config.json")
        }
        guard let object = try JSON(contentsOf: generation, as: .python).objectValue else {
            throw ModelError("\(generation): it is not a JSON object")
        }
        return try GenerationDefaults(object, path: generation)
    }

    /// The ids of a value, one or a list of them; nil when nothing is said.
    private static func ids(_ value: JSON?, _ path: String) throws -> Set<Int32>? {
        guard let value, !value.isNull else { return nil }
        let values = value.arrayValue ?? [value]
        let ids = values.compactMap { $0.integerValue.flatMap { Int32(exactly: $0) } }
        guard ids.count == values.count else {
            throw ModelError("\(path): eos_token_id must be a token id or a list of them")
        }
        return Set(ids)
    }
}
