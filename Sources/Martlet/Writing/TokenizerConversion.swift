package import MartletFormats
import MartletJSON
import MartletPlatform
import MartletTokenizers

/// The conversion of a model's tokenizer files, from a Hugging Face directory to a GGUF's metadata and back.
package enum TokenizerConversion {
    /// The files beside the weights that say something about text.
    private static let files = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model",
        "tekken.json", "source.spm", "target.spm", "generation_config.json", "chat_template.jinja",
        "chat_template.json",
    ]

    /// Copies those that a directory has.
    ///
    /// - Throws: ``FileError``.
    package static func copyFiles(from directory: String, to other: String) throws {
        for name in files where exists(directory + "/" + name) {
            try writeFile(fileBytes(directory + "/" + name), to: other + "/" + name)
        }
    }

    /// The keys under `tokenizer.` of a GGUF, as they are.
    package static func metadata(of gguf: GGUF) -> GGUFMetadata {
        var metadata: GGUFMetadata = [:]
        for (key, value) in gguf.metadata.entries where key.utf8.starts(with: "tokenizer.".utf8) {
            metadata[key] = value
        }
        return metadata
    }

    // MARK: - to GGUF

    /// A directory's tokenizer in the keys of a GGUF; empty when it has none.
    ///
    /// - Parameter vocabulary: the rows of the model's token table.
    package static func metadata(ofDirectory directory: String, vocabulary count: Int) throws -> GGUFMetadata {
        guard let json = try SlowTokenizer.jsonOrFile(in: directory) else { return [:] }
        var vocabulary = try GGUFVocabulary(tokenizerJSON: json, count: count)
        try readSpecialTokens(&vocabulary, directory)
        return metadata(vocabulary)
    }

    /// A directory's tokenizer in the keys of a GGUF; empty, with a caveat, where one that was saved without
    /// `tokenizer.json` is not supported here or has no words in GGUF.
    static func metadata(
        ofDirectory directory: String, vocabulary count: Int, caveats: inout [String]
    ) throws -> GGUFMetadata {
        do {
            return try metadata(ofDirectory: directory, vocabulary: count)
        } catch TokenizerError.unsupported(_, let feature, _) where !exists(directory + "/tokenizer.json") {
            caveats.append(
                "the tokenizer is left out: \(feature) is not supported; give the new file its texts as tokens "
                    + "(--tokens), or put a tokenizer.json into \(directory) and convert again")
            return [:]
        }
    }

    /// Roles of tokens, from the files beside `tokenizer.json`.
    private static func readSpecialTokens(_ vocabulary: inout GGUFVocabulary, _ directory: String) throws {
        func json(_ name: String) throws -> JSON? {
            exists(directory + "/" + name) ? try JSON(contentsOf: directory + "/" + name) : nil
        }
        let (tokenizer, model) = (try json("tokenizer_config.json"), try json("config.json"))
        let tokens = vocabulary.tokens
        func id(_ role: String) -> Int32? {
            let named = tokenizer?[role + "_token"]
            let content = named?.stringValue ?? named?["content"]?.stringValue
            if let content, let id = tokens.firstIndex(where: { $0.elementsEqual(content.utf8) }) { return Int32(id) }
            let value = model?[role + "_token_id"]
            return (value?.integerValue ?? value?[0]?.integerValue).flatMap { Int32(exactly: $0) }
        }
        vocabulary.beginningID = vocabulary.beginningID ?? id("bos")
        vocabulary.endID = vocabulary.endID ?? id("eos")
        vocabulary.unknownID = vocabulary.unknownID ?? id("unk")
        vocabulary.paddingID = id("pad") ?? vocabulary.paddingID
        vocabulary.chatTemplate = tokenizer?["chat_template"]?.stringValue
        if exists(directory + "/chat_template.jinja") {
            vocabulary.chatTemplate = String(
                decoding: try fileBytes(directory + "/chat_template.jinja"), as: UTF8.self)
        }
    }

    private static func metadata(_ vocabulary: GGUFVocabulary) -> GGUFMetadata {
        var metadata: GGUFMetadata = [:]
        func set(_ key: String, _ id: Int32?) {
            if let id, id >= 0 { metadata["tokenizer.ggml." + key] = .uint32(UInt32(id)) }
        }
        func strings(_ bytes: ByteStrings) -> GGUFValue {
            .array(GGUFArray(bytes.map { String(decoding: $0, as: UTF8.self) }))
        }
        metadata["tokenizer.ggml.model"] = .string(vocabulary.model)
        metadata["tokenizer.ggml.pre"] = .string(vocabulary.pre ?? "default")
        metadata["tokenizer.ggml.tokens"] = strings(vocabulary.tokens)
        metadata["tokenizer.ggml.token_type"] = .array(GGUFArray(vocabulary.types))
        if !vocabulary.scores.isEmpty { metadata["tokenizer.ggml.scores"] = .array(GGUFArray(vocabulary.scores)) }
        if !vocabulary.merges.isEmpty { metadata["tokenizer.ggml.merges"] = strings(vocabulary.merges) }
        set("bos_token_id", vocabulary.beginningID)
        set("eos_token_id", vocabulary.endID)
        set("unknown_token_id", vocabulary.unknownID)
        set("padding_token_id", vocabulary.paddingID)
        // The specification spells it so.
        set("seperator_token_id", vocabulary.separatorID)
        set("cls_token_id", vocabulary.classifierID)
        set("mask_token_id", vocabulary.maskID)
        metadata["tokenizer.ggml.add_bos_token"] = vocabulary.addsBeginning.map { .bool($0) }
        metadata["tokenizer.ggml.add_eos_token"] = vocabulary.addsEnd.map { .bool($0) }
        metadata["tokenizer.ggml.add_space_prefix"] = vocabulary.addsSpacePrefix.map { .bool($0) }
        metadata["tokenizer.ggml.remove_extra_whitespaces"] = vocabulary.removesExtraWhitespace.map { .bool($0) }
        if !vocabulary.precompiledCharsmap.isEmpty {
            metadata["tokenizer.ggml.precompiled_charsmap"] = .array(GGUFArray(vocabulary.precompiledCharsmap))
        }
        metadata["tokenizer.chat_template"] = vocabulary.chatTemplate.map { .string($0) }
        return metadata
    }

    // MARK: - from GGUF

    /// Writes a GGUF's tokenizer into a directory: `tokenizer.json` and `tokenizer_config.json`. Nothing when the file
    /// has none.
    package static func write(_ gguf: GGUF, to directory: String) throws {
        let model = try gguf.metadata.string("tokenizer.ggml.model")
        guard let model, model != "none", model != "no_vocab" else { return }
        let vocabulary = try ModelText.vocabulary(of: gguf)
        try writeFile(vocabulary.tokenizerJSON().serialized(), to: directory + "/tokenizer.json")
        try writeFile(JSON.object(config(vocabulary)).serialized(), to: directory + "/tokenizer_config.json")
    }

    private static func config(_ vocabulary: GGUFVocabulary) -> JSONObject {
        var config = JSONObject()
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        config["clean_up_tokenization_spaces"] = false
        let roles = [
            ("bos_token", vocabulary.beginningID), ("eos_token", vocabulary.endID), ("unk_token", vocabulary.unknownID),
            ("pad_token", vocabulary.paddingID), ("sep_token", vocabulary.separatorID),
            ("cls_token", vocabulary.classifierID), ("mask_token", vocabulary.maskID),
        ]
        for (role, id) in roles {
            guard let id, vocabulary.tokens.indices.contains(Int(id)) else { continue }
            config[role] = .string(String(decoding: vocabulary.tokens[Int(id)], as: UTF8.self))
        }
        config["chat_template"] = vocabulary.chatTemplate.map { .string($0) }
        return config
    }

    private static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
