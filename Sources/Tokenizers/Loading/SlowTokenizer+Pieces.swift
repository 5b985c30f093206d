import MartletJSON
import MartletPlatform

/// Models in SentencePiece's files that are not read as plain unigrams: byte pairs, whatever the file says of itself,
/// pieces that another file numbers; and ByT5's, which has no file.
extension SlowTokenizer {
    private func pieceFile() throws -> SentencePieceFile? {
        try bytes("tokenizer.model", "sentencepiece.bpe.model", "spiece.model").map { try SentencePieceFile($0) }
    }

    /// Byte pairs whose merges are ranked by the number of what they make, whatever the scores of the pieces: Llama's,
    /// Gemma's, NLLB's.
    func rankedPairs() throws -> Model? {
        guard let file = try pieceFile() else { return nil }
        let own = file.pieces.map { String(decoding: $0, as: UTF8.self) }
        var names = own
        if name == .nllb {
            names = ["<s>", "<pad>", "</s>", "<unk>"]
            let known = Set(names.map { ExactKey($0) })
            names += own.filter { !known.contains(ExactKey($0)) }
        }
        let (vocabulary, ids) = SlowTokenizer.numbered(names)
        let unknown: JSON = name == .llama ? .null : .string(token("unk_token") ?? "<unk>")
        let merges = try merges(file.pieces, order: Array(file.pieces.indices)) { _ in true }
        // Languages come before the mask.
        let languages = name == .nllb ? LanguageCodes.nllb.enumerated().map { ($1, names.count + $0) } : []
        return Model(
            json: SlowTokenizer.pairs(vocabulary, merges, unknown: unknown, bytes: name != .nllb), ids: ids, file: file,
            further: further(file), numbers: languages)
    }

    /// The tokens beside the named ones that texts are not split by: those that the file marks, languages, gaps.
    private func further(_ file: SentencePieceFile) -> [(content: String, isSpecial: Bool)] {
        let marked = file.types.indices.filter { [.control, .userDefined].contains(file.types[$0]) }
        let own = marked.map { (String(decoding: file.pieces[$0], as: UTF8.self), file.types[$0] == .control) }
        return switch name {
        case .nllb: LanguageCodes.nllb.map { ($0, true) } + own
        case .codeLlama: ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>", "<FILL_ME>"].map { ($0, true) } + own
        default: own
        }
    }

    /// The model of a file as SentencePiece itself would encode by it.
    func pieces() throws -> Model? {
        guard let file = try pieceFile() else { return nil }
        return try pieces(file, names: renamed(file.pieces.map { String(decoding: $0, as: UTF8.self) }))
    }

    private func pieces(_ file: SentencePieceFile, names: [String]) throws -> Model {
        // The piece of that type: its name here may be another than the trainer's.
        let unknown = file.types.firstIndex(of: .unknown).map { names[$0] } ?? file.unknown
        let roles = [("unk_token", unknown), ("bos_token", file.beginning), ("eos_token", file.end)]
        let named = Dictionary(roles.compactMap { role, piece in piece.map { (role, $0) } }) { first, _ in first }
        let control = file.types.indices.filter { file.types[$0] == .control }.map { (names[$0], true) }
        guard file.modelType == .unigram else {
            let (vocabulary, ids) = SlowTokenizer.numbered(names)
            // The order of the normal pieces, which alone merge: the best score first.
            let normal = file.types.indices.filter { file.types[$0] == .normal }
            let order = normal.sorted { (-file.scores[$0], $0) < (-file.scores[$1], $1) }
            let merges = try merges(names.map { Array($0.utf8) }, order: order) { file.types[$0] == .normal }
            let json = SlowTokenizer.pairs(
                vocabulary, merges, unknown: .string(unknown), bytes: file.fallsBackToBytes,
                keepsWholeWords: file.types.contains(.userDefined))
            return Model(json: json, ids: ids, file: file, further: control, roles: named)
        }
        var ids: [ExactKey: Int] = [:]
        for (id, name) in names.enumerated() where ids[ExactKey(name)] == nil { ids[ExactKey(name)] = id }
        let model: JSON = [
            "type": "Unigram", "unk_id": .integer(file.types.firstIndex(of: .unknown) ?? 0),
            "byte_fallback": .bool(file.fallsBackToBytes),
            "vocab": .array(zip(names, file.scores).map { [.string($0), .number(Double($1))] }),
        ]
        return Model(json: model, ids: ids, file: file, further: control, roles: named)
    }

    /// The pieces with the names that added tokens of the same numbers have.
    private func renamed(_ pieces: [String]) -> [String] {
        var (names, own) = (pieces, [Int: String]())
        for (id, form) in settings["added_tokens_decoder"]?.objectValue?.members ?? [] {
            if let id = Int(id), pieces.indices.contains(id) { own[id] = form["content"]?.stringValue }
        }
        let kept = Set(pieces.indices.filter { own[$0] == nil }.map { ExactKey(pieces[$0]) })
        for (id, name) in own where !kept.contains(ExactKey(name)) { names[id] = name }
        return names
    }

    /// M2M-100's: pieces of a SentencePiece model by the numbers of `vocab.json`, then the languages. A piece that
    /// `vocab.json` lacks is none here.
    func numberedPieces() throws -> Model? {
        guard let file = try pieceFile(), let table = try bytes("vocab.json") else { return nil }
        let path = folder + "/vocab.json"
        let root: JSON
        do { root = try JSON(parsing: table) } catch {
            throw TokenizerError.malformed(source: path, offences: [error.description])
        }
        let members = root.objectValue?.members ?? []
        var names = [String?](repeating: nil, count: members.count)
        for (name, id) in members {
            guard let id = id.integerValue, names.indices.contains(id) else { continue }
            names[id] = name
        }
        let all = names.compactMap { $0 }
        guard all.count == names.count, !all.isEmpty else {
            throw TokenizerError.malformed(source: path, offences: ["its numbers are not those from 0 on, each once"])
        }
        var model = try pieces(file.renumbered(all.map { Array($0.utf8) }), names: all)
        let codes = settings["language_codes"]?.stringValue == "wmt21" ? LanguageCodes.wmt21 : LanguageCodes.m2m100
        model.further = codes.map { ("__\($0)__", true) }
        model.numbers = codes.enumerated().map { ("__\($1)__", all.count + $0) }
        return model
    }

    /// ByT5's bytes, each three above its value, and its gaps behind them.
    func singleBytes() -> Model {
        var (vocabulary, ids) = (JSONObject(), [ExactKey: Int]())
        for byte in UInt8.min...UInt8.max {
            let name = String(decoding: ByteAlphabet.names(of: [byte]), as: UTF8.self)
            vocabulary[name] = .integer(Int(byte) + 3)
            // A token of one scalar below 256 is the byte of that value.
            ids[ExactKey(String(UnicodeScalar(byte)))] = Int(byte) + 3
        }
        let count = min(max(settings["extra_ids"]?.integerValue ?? 125, 0), 1 << 16)
        let gaps = (0..<count).map { "<extra_id_\($0)>" }
        let tokens = [("pad_token", 0), ("eos_token", 1), ("unk_token", 2)].compactMap { role, id in
            token(role).map { (content: $0, id: id) }
        }
        return Model(
            json: SlowTokenizer.pairs(.object(vocabulary), [], unknown: .null, bytes: false), ids: ids,
            further: gaps.map { ($0, true) }, numbers: tokens + gaps.enumerated().map { ($1, 259 + $0) })
    }

    // MARK: - Stages

    static func replacing(_ pattern: JSON, _ content: String) -> JSON {
        ["type": "Replace", "pattern": pattern, "content": .string(content)]
    }

    static func sequence(_ stages: [JSON]) -> JSON {
        stages.isEmpty ? .null : ["type": "Sequence", "normalizers": .array(stages)]
    }

    static func mark(_ scheme: String, splits: Bool) -> JSON {
        ["type": "Metaspace", "replacement": "▁", "prepend_scheme": .string(scheme), "split": .bool(splits)]
    }

    /// The compiled normalization of a file, where it has one.
    static func charsmap(_ file: SentencePieceFile) -> [JSON] {
        guard !file.charsmap.isEmpty else { return [] }
        let text = String(decoding: Base64.encode(file.charsmap), as: UTF8.self)
        return [["type": "Precompiled", "precompiled_charsmap": .string(text)]]
    }

    private static func pairs(
        _ vocabulary: JSON, _ merges: [JSON], unknown: JSON, bytes: Bool, keepsWholeWords: Bool = false
    ) -> JSON {
        [
            "type": "BPE", "dropout": .null, "unk_token": unknown, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": true, "byte_fallback": .bool(bytes),
            "ignore_merges": .bool(keepsWholeWords), "vocab": vocabulary, "merges": .array(merges),
        ]
    }

    /// Names and the numbers that they have, of a name twice the later.
    private static func numbered(_ names: [String]) -> (vocabulary: JSON, ids: [ExactKey: Int]) {
        var (vocabulary, ids) = (JSONObject(), [ExactKey: Int]())
        for (id, name) in names.enumerated() { (vocabulary[name], ids[ExactKey(name)]) = (.integer(id), id) }
        return (.object(vocabulary), ids)
    }

    /// The normalization of a file in SentencePiece's order.
    func pieceNormalizers(_ file: SentencePieceFile) -> [JSON] {
        var stages = SlowTokenizer.charsmap(file)
        if file.removesExtraBlanks {
            // Blanks alone count: other white space stays.
            stages.append(SlowTokenizer.replacing(["Regex": "\\A +| +\\z"], ""))
            stages.append(SlowTokenizer.replacing(["Regex": " {2,}"], " "))
        }
        if file.escapesBlanks { stages.append(SlowTokenizer.replacing(["String": " "], "▁")) }
        if file.addsDummyPrefix, isLegacy ?? true {
            // The mark of the beginning is not added where one stands already; SentencePiece adds another.
            stages.append(SlowTokenizer.replacing(["Regex": "\\A▁"], "▁▁"))
        }
        return stages
    }

    /// The mark before a text, and the user's pieces, which are emitted whole and merge with nothing.
    func pieceSplits(_ file: SentencePieceFile) -> JSON {
        var stages: [JSON] = []
        if file.addsDummyPrefix {
            stages.append(SlowTokenizer.mark(isLegacy ?? true ? "always" : "first", splits: false))
        }
        let own = file.types.indices.filter { file.types[$0] == .userDefined }.map { file.pieces[$0] }
        if !own.isEmpty {
            stages.append([
                "type": "Split", "pattern": ["Regex": .string(LiteralAlternation.spelling(own))],
                "behavior": "Isolated", "invert": false,
            ])
        }
        return stages.isEmpty ? .null : ["type": "Sequence", "pretokenizers": .array(stages)]
    }

    static func pieceDecoder(bytes: Bool, stripsFirstBlank: Bool) -> JSON {
        var stages: [JSON] = [["type": "Replace", "pattern": ["String": "▁"], "content": " "]]
        if bytes { stages.append(["type": "ByteFallback"]) }
        if bytes || stripsFirstBlank { stages.append(["type": "Fuse"]) }
        if stripsFirstBlank { stages.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        return ["type": "Sequence", "decoders": .array(stages)]
    }

    // MARK: - Merges

    /// The bytes of the longest token whose merges are looked for: each of its cuts is looked up.
    private static let longestMerged = 1 << 10

    /// A check of tokens whose merges are to be found.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for a token that is too long for it.
    func checkLengths(ofMerged tokens: some Sequence<[UInt8]>) throws(TokenizerError) {
        let longest = tokens.reduce(0) { max($0, $1.count) }
        guard longest > SlowTokenizer.longestMerged else { return }
        throw .unsupported(
            source: folder, feature: "a vocabulary without merges that has a token of \(longest) bytes",
            remedy: "the limit is \(SlowTokenizer.longestMerged); take the model's tokenizer.json")
    }

    /// The merges of byte pairs that SentencePiece's files leave to be found: every way to make a piece of two others.
    ///
    /// - Parameters:
    ///   - order: the pieces that are made, the first rank first.
    ///   - isPart: whether a piece may be made of others or be part of one.
    /// - Throws: as ``checkLengths(ofMerged:)``.
    private func merges(
        _ pieces: [[UInt8]], order: [Int], isPart: (Int) -> Bool
    ) throws(TokenizerError) -> [JSON] {
        let made = order.map { pieces[$0] }
        try checkLengths(ofMerged: made)
        let parts = Set(pieces.indices.filter(isPart).map { pieces[$0][...] })
        var merges: [JSON] = []
        for piece in made {
            for cut in piece.indices.dropFirst() where piece[cut] & 0xC0 != 0x80 {
                guard parts.contains(piece[..<cut]), parts.contains(piece[cut...]) else { continue }
                merges.append([
                    .string(String(decoding: piece[..<cut], as: UTF8.self)),
                    .string(String(decoding: piece[cut...], as: UTF8.self)),
                ])
            }
        }
        return merges
    }
}
