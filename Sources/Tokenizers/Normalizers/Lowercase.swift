/// Each scalar's lower case, by Unicode's full mappings without context (`Lowercase`).
struct LowercaseNormalizer: Normalizer {
    private static let mappings: (index: ScalarTable, targets: [[UInt32]]) = {
        var flat = [UInt16](repeating: 0, count: 0x110000)
        var targets: [[UInt32]] = [[]]
        NormalizationData.readMappings(packedLowercase) { scalar, target in
            flat[scalar] = UInt16(targets.count)
            targets.append(target)
        }
        return (ScalarTable(flat: flat), targets)
    }()

    func normalize(_ text: inout StagedText) {
        let (table, targets) = LowercaseNormalizer.mappings
        let source = text.bytes
        let bytes = source.span
        guard LowercaseNormalizer.changes(bytes, table) else { return }
        var rewriter = Rewriter(text)
        var index = 0
        while index < bytes.count {
            let scalar = bytes.scalar(at: index)
            let mapping = table[scalar.value]
            if mapping == 0 {
                rewriter.append(scalar.value, from: index)
            } else {
                for target in targets[Int(mapping)] { rewriter.append(target, from: index) }
            }
            index += scalar.length
        }
        rewriter.finish(&text)
    }

    private static func changes(_ bytes: Span<UInt8>, _ table: ScalarTable) -> Bool {
        var index = 0
        while index < bytes.count {
            let scalar = bytes.scalar(at: index)
            if table[scalar.value] != 0 { return true }
            index += scalar.length
        }
        return false
    }
}
