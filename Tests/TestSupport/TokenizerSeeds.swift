/// Small vocabularies of each format, which mutations begin with.
package enum TokenizerSeeds {
    private static func json(_ stages: String, _ model: String) -> [UInt8] {
        let added =
            #"[{"id":0,"content":"<s>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}]"#
        return Array(#"{"version":"1.0","added_tokens":\#(added),\#(stages),"model":\#(model)}"#.utf8)
    }

    /// A `tokenizer.json` of each of three models.
    package static let json: [[UInt8]] = [
        json(
            #""normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{L}+|\\d"},"behavior":"Isolated","invert":false},"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
            #"{"type":"BPE","unk_token":"<u>","fuse_unk":true,"byte_fallback":true,"vocab":{"<s>":0,"<u>":1,"a":2,"b":3,"ab":4,"e":5,"<0xC3>":6,"▁":7,"ae":8},"merges":[["a","b"],"a e"]}"#
        ),
        json(
            #""pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}}"#,
            #"{"type":"Unigram","unk_id":1,"byte_fallback":false,"vocab":[["<s>",0.0],["<u>",0.0],["▁",-2.5],["e",-3.25],["▁the",-1.5]]}"#
        ),
        json(
            ###""normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","sep":["e",4],"cls":["<s>",0]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"truncation":null,"padding":{"strategy":{"Fixed":8},"direction":"Right","pad_id":0,"pad_type_id":0,"pad_token":"<s>","pad_to_multiple_of":null}"###,
            ###"{"type":"WordPiece","unk_token":"<u>","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"<s>":0,"<u>":1,"the":2,"fox":3,"e":4,"##es":5}}"###
        ),
    ]

    /// A message of the file: its number, its length, its bytes.
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count & 0x7F) | 0x80, UInt8(bytes.count >> 7)] + bytes
    }

    /// A SentencePiece model of this kind: 1 unigram, 2 BPE, 3 words, 4 characters.
    package static func sentencePiece(_ kind: UInt8) -> [UInt8] {
        let pieces: [(String, Float, UInt8)] = [
            ("<unk>", 0, 2), ("<s>", 0, 3), ("▁", -3, 1), ("a", -2, 1), ("▁a", -1, 1), ("th", -4, 1), ("e", -5, 1),
            ("h", -6, 1),
            ("t", -7, 1), ("the", -8, 4), ("<0x0A>", 0, 6),
        ]
        var file: [UInt8] = []
        for (piece, score, type) in pieces {
            let bits = score.bitPattern
            let bytes = (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
            file += field(1, field(1, Array(piece.utf8)) + [0x15] + bytes + [0x18, type])
        }
        // The charsmap: a trie of four units, then a text.
        let charsmap: [UInt8] = [16, 0, 0, 0] + [UInt8](repeating: 0x41, count: 16) + Array("x\u{0}".utf8)
        return file + field(2, [0x18, kind, 0x98, 0x02, 1])
            + field(3, field(2, charsmap) + [0x18, 1, 0x20, 1, 0x28, 1])
    }

    /// The ranks of all bytes and of four longer tokens.
    package static let tiktoken: [UInt8] = {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var file = ""
        for byte in 0..<256 { file += "\(digits[byte >> 2])\(digits[(byte & 3) << 4])== \(byte)\n" }
        for (index, token) in ["dGg=", "ZXM=", "dGhl", "Zm8="].enumerated() { file += "\(token) \(256 + index)\n" }
        return Array(file.utf8)
    }()

    /// A `vocab.txt` of WordPiece.
    package static let vocabulary = Array("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfox\n##es\n1\n##2\n日\n".utf8)

    /// A `vocab.json` of byte-pair encoding, and its `merges.txt`.
    package static let pairs = Array(#"{"t":0,"h":1,"e":2,"th":3,"the":4,"Ġ":5,"Ġthe":6}"#.utf8)
    package static let merges = Array("#version: 0.2\nt h\nth e\nĠ the\n".utf8)
}
