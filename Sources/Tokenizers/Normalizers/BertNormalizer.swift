/// BERT's cleaning: control characters go, blanks become spaces, ideographs stand alone, accents go, lower case.
struct BertNormalizer: Normalizer {
    let cleansText: Bool
    let spacesIdeographs: Bool
    /// The setting `strip_accents`; nil: as ``lowercases``.
    let stripsAccents: Bool?
    let lowercases: Bool

    func normalize(_ text: inout StagedText) {
        if text.tracksOrigins { normalizeStepwise(&text) } else { normalizeByRuns(&text) }
    }

    /// The byte that each ASCII byte becomes: 0 for nothing.
    private var asciiMap: InlineArray<128, UInt8> {
        InlineArray<128, UInt8> { index in
            let byte = UInt8(index)
            if lowercases, byte >= 65, byte <= 90 { return byte + 32 }
            guard cleansText else { return byte }
            if byte == 9 || byte == 10 || byte == 13 { return 32 }
            return byte < 32 || byte == 127 ? 0 : byte
        }
    }

    /// ASCII through a table, and the steps for the runs between: no step looks beyond a run, for marks are in it
    /// whole.
    private func normalizeByRuns(_ text: inout StagedText) {
        guard !(text.bytes.contains(0) && !cleansText) else { return normalizeStepwise(&text) }
        let map = asciiMap
        let source = text.bytes
        let bytes = source.span
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + 16)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte < 0x80 {
                let mapped = map[Int(byte)]
                if mapped != 0 { result.append(mapped) }
                index += 1
                continue
            }
            var end = index + 1
            while end < bytes.count, bytes[end] >= 0x80 { end += 1 }
            var run = StagedText(content: Array(source[index..<end]))
            normalizeStepwise(&run)
            result += run.bytes
            index = end
        }
        text.bytes = result
        text.joinPieces()
    }

    private func normalizeStepwise(_ text: inout StagedText) {
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
