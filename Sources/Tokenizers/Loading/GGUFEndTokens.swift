/// The tokens that end a text or a turn by their spelling: many GGUFs number the end of a text alone, and chats end by
/// another token (Gemma's `<end_of_turn>`, Phi's `<|end|>`).
///
/// Source: llama.cpp, which goes by these spellings, those that end the middle of a text (FIM) among them, and by
/// spellings of padding besides.
enum GGUFEndTokens {
    private static let spellings: Set<[UInt8]> = Set(
        [
            "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
            "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
            "<end_of_utterance>", "<turn|>", "<|tool_response>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>",
            "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<reponame>", "<|file_sep|>",
        ].map { Array($0.utf8) })

    /// Spellings that are also found in plain text: ends only where they are control tokens.
    private static let controlSpellings: Set<[UInt8]> = Set(["</s>", "<eos>"].map { Array($0.utf8) })

    /// The numbers of tokens with such a spelling.
    ///
    /// - Parameter isControl: whether a token is of the type that marks structure.
    static func ids(in tokens: ByteStrings, isControl: (Int) -> Bool) -> [Int32] {
        var found: [[UInt8]: Int32] = [:]
        for index in tokens.indices {
            let token = tokens.slice(index)
            guard let first = token.first, "<[_".utf8.contains(first), token.count <= 18 else { continue }
            let bytes = Array(token)
            if spellings.contains(bytes) || controlSpellings.contains(bytes) && isControl(index) {
                found[bytes] = found[bytes] ?? Int32(index)
            }
        }
        func has(_ spelling: String) -> Bool { found[Array(spelling.utf8)] != nil }
        // Ends of a part of a turn, or text, where turns end otherwise.
        if has("<|return|>") && has("<|call|>") || has("<|calls|>") && has("<|flush|>") {
            found[Array("<|end|>".utf8)] = nil
        }
        if has("<|tool_response>") { found[Array("</s>".utf8)] = nil }
        return found.values.sorted()
    }
}
