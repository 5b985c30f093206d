extension StagedText {
    /// Rewrites the text scalar by scalar: to another scalar, or to nothing for nil. Text that stays as it is, is not
    /// copied.
    @inline(__always)
    mutating func mapScalars(_ transform: (UInt32) -> UInt32?) {
        let source = bytes
        let text = source.span
        var index = 0
        while index < text.count {
            let scalar = text.scalar(at: index)
            guard transform(scalar.value) == scalar.value else { break }
            index += scalar.length
        }
        guard index < text.count else { return }
        var rewriter = Rewriter(self)
        rewriter.copy(0..<index, of: text)
        while index < text.count {
            let scalar = text.scalar(at: index)
            if let mapped = transform(scalar.value) { rewriter.append(mapped, from: index) }
            index += scalar.length
        }
        rewriter.finish(&self)
    }
}

/// A normalizer that drops combining marks (`StripAccents`).
struct StripAccentsNormalizer: Normalizer {
    func normalize(_ text: inout StagedText) {
        text.mapScalars { ScalarProperties($0).isCombiningMark ? nil : $0 }
    }
}

/// SentencePiece's NMT rules: control characters go, other blanks become spaces.
struct NMTNormalizer: Normalizer {
    func normalize(_ text: inout StagedText) {
        text.mapScalars { scalar in
            switch scalar {
            case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: nil
            case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: 0x20
            default: scalar
            }
        }
    }
}

/// A normalizer that takes blanks off the ends.
struct StripNormalizer: Normalizer {
    let left: Bool
    let right: Bool

    func normalize(_ text: inout StagedText) {
        let source = text.bytes
        let bytes = source.span
        var (start, end) = (0, bytes.count)
        while left, start < end {
            let scalar = bytes.scalar(at: start)
            guard ScalarProperties(scalar.value).isSpace else { break }
            start += scalar.length
        }
        while right, end > start {
            let scalar = bytes.scalar(before: end)
            guard ScalarProperties(scalar.value).isSpace else { break }
            end -= scalar.length
        }
        guard end - start < bytes.count else { return }
        var rewriter = Rewriter(text)
        rewriter.copy(start..<end, of: bytes)
        rewriter.finish(&text)
    }
}
