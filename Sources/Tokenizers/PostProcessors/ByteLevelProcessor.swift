/// A post-processor that takes the blanks at either end of a byte-level token out of its offsets (`ByteLevel`,
/// `trim_offsets`).
struct ByteLevelProcessor: PostProcessor {
    let trimsOffsets: Bool
    let addsPrefixSpace: Bool
    /// The setting `use_regex` as the file has it; of no use here.
    let splitsByPattern: Bool

    func addedTokens(isPair: Bool) -> Int { 0 }

    func process(_ encodings: [Encoding], addingSpecialTokens: Bool, _ context: PostProcessorContext) -> [Encoding] {
        guard trimsOffsets else { return encodings }
        return encodings.map { OffsetTrimmer.trim($0, addsPrefixSpace: addsPrefixSpace, context) }
    }
}

/// Trimming of offsets: a token's blanks are no part of what it stands for.
enum OffsetTrimmer {
    /// The rule of the reference: as many scalars less as the token has blanks at that end, save a single leading blank
    /// of the first token, which the pre-tokenizer may have put there.
    static func trim(_ encoding: Encoding, addsPrefixSpace: Bool, _ context: PostProcessorContext) -> Encoding {
        var encoding = encoding
        for index in encoding.ids.indices {
            // A token that an earlier processor added lies in no text and has nothing to trim.
            guard let sequence = encoding.sequences[index], context.texts.indices.contains(Int(sequence)) else {
                continue
            }
            let text = context.texts[Int(sequence)]
            var offsets = encoding.offsets[index]
            let scalars = context.token(encoding.ids[index], sequence, text[offsets.start..<offsets.end]).scalars
            var leading = scalars.prefix(while: isBlank).count
            let trailing = scalars.reversed().prefix(while: isBlank).count
            if leading > 0 {
                let isFirst = index == 0 || offsets.start == 0
                if isFirst && addsPrefixSpace && leading == 1 { leading = 0 }
                for _ in 0..<leading where offsets.start < offsets.end {
                    offsets.start += text.span.scalar(at: offsets.start).length
                }
            }
            for _ in 0..<trailing where offsets.end > offsets.start {
                offsets.end -= text.span.scalar(before: offsets.end).length
            }
            encoding.offsets[index] = offsets
        }
        encoding.overflow = encoding.overflow.map { trim($0, addsPrefixSpace: addsPrefixSpace, context) }
        return encoding
    }

    private static func isBlank(_ scalar: UInt32) -> Bool {
        scalar == ByteAlphabet.scalars[0x20] || ScalarProperties(scalar).isSpace
    }
}
