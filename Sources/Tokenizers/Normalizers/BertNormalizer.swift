/// BERT's cleaning: control characters go, blanks become spaces, ideographs stand alone, accents go, lower case.
struct BertNormalizer: Normalizer {
    let cleansText: Bool
    let spacesIdeographs: Bool
    /// nil: as ``lowercases``.
    let stripsAccents: Bool?
    let lowercases: Bool

    func normalize(_ text: inout StagedText) {
        if cleansText {
            text.mapScalars { scalar in
                if scalar == 9 || scalar == 10 || scalar == 13 { return 0x20 }
                let properties = ScalarProperties(scalar)
                if properties.isRemovedByCleaning { return nil }
                return properties.isSpace ? 0x20 : scalar
            }
        }
        if spacesIdeographs { spaceIdeographs(in: &text) }
        if stripsAccents ?? lowercases {
            UnicodeForm.nfd.normalize(&text)
            text.mapScalars { ScalarProperties($0).isNonspacingMark ? nil : $0 }
        }
        if lowercases { LowercaseNormalizer().normalize(&text) }
    }

    private static func isIdeograph(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }

    private func spaceIdeographs(in text: inout StagedText) {
        let source = text.bytes
        let bytes = source.span
        var rewriter: Rewriter?
        var index = 0
        var copied = 0
        while index < bytes.count {
            let scalar = bytes.scalar(at: index)
            if scalar.length > 2, BertNormalizer.isIdeograph(scalar.value) {
                var output = rewriter ?? Rewriter(text)
                rewriter = nil
                output.copy(copied..<index, of: bytes)
                output.append(0x20, from: index)
                output.append(scalar.value, from: index)
                output.append(0x20, from: index)
                copied = index + scalar.length
                rewriter = output
            }
            index += scalar.length
        }
        guard var rewriter else { return }
        rewriter.copy(copied..<bytes.count, of: bytes)
        rewriter.finish(&text)
    }
}
