/// Normalizers one after the other.
struct NormalizerSequence: Normalizer {
    let parts: [any Normalizer]

    func normalize(_ text: inout StagedText) {
        for part in parts { part.normalize(&text) }
    }
}
