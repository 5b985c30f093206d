/// A seeded source of segmentations other than the best one, for training on them (subword regularisation).
///
/// Segmentations depend on the seed and the calls alone, on every machine.
public struct SubwordSampling: Sendable {
    /// The BPE-dropout probability, with which a merge is left out (Provilkov et al. 2020, usually 0.1).
    public var dropout: Double
    /// The Unigram smoothing: how sharply likelier segmentations are preferred (Kudo 2018, usually 0.1 to 0.5); 0 is
    /// uniform.
    public var smoothing: Double
    private var state: UInt64

    /// A source that begins at `seed`.
    public init(seed: UInt64, dropout: Double = 0.1, smoothing: Double = 0.1) {
        self.dropout = dropout
        self.smoothing = smoothing
        state = seed
    }

    /// A number from [0, 1), by SplitMix64 (Steele et al. 2014).
    mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return Double((mixed ^ mixed >> 31) >> 11) * 0x1p-53
    }

    mutating func dropsMerge() -> Bool { uniform() < dropout }
}
