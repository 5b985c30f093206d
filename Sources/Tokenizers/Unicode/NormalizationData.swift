/// The tables of Unicode normalization (UAX #15), built once from the packed data.
struct NormalizationData: Sendable {
    static let shared = NormalizationData()

    private let combiningClasses: ScalarTable
    /// Index into ``expansions`` plus one, of the full canonical decomposition; 0 for none.
    private let canonical: ScalarTable
    private let compatibility: ScalarTable
    private let expansions: [[UInt32]]
    private let compositions: Compositions
    /// The scalars at which text already is in a form and may be cut: bit 0 NFC, 1 NFD, 2 NFKC, 3 NFKD.
    let stability: ScalarTable

    private init() {
        let classes = ScalarTable(runs: packedCombiningClasses)
        var (canonical, compatibility) = (
            [UInt16](repeating: 0, count: 0x110000), [UInt16](repeating: 0, count: 0x110000)
        )
        var expansions: [[UInt32]] = []
        NormalizationData.readMappings(packedCanonical) { scalar, target in
            expansions.append(target)
            canonical[scalar] = UInt16(expansions.count)
            compatibility[scalar] = UInt16(expansions.count)
        }
        NormalizationData.readMappings(packedCompatibility) { scalar, target in
            expansions.append(target)
            compatibility[scalar] = UInt16(expansions.count)
        }
        let compositions = Compositions()
        combiningClasses = classes
        self.canonical = ScalarTable(flat: canonical)
        self.compatibility = ScalarTable(flat: compatibility)
        self.expansions = expansions
        self.compositions = compositions
        stability = NormalizationData.stability(
            classes, canonical: canonical, compatibility: compatibility, compositions)
    }

    private static func stability(
        _ classes: ScalarTable, canonical: [UInt16], compatibility: [UInt16], _ compositions: Compositions
    ) -> ScalarTable {
        var stability = [UInt16](repeating: 15, count: 0x110000)
        for scalar in 0..<0x110000 {
            let isStarter = classes[UInt32(scalar)] == 0
            let isSyllable = (0xAC00...0xD7A3).contains(scalar)
            let joinsBackwards =
                compositions.seconds.contains(UInt32(scalar)) || (0x1161...0x11C2).contains(scalar)
            let keepsComposed = canonical[scalar] == 0 || compositions.composites.contains(scalar)
            let hasCompatibility = compatibility[scalar] != canonical[scalar]
            var flags: UInt16 = 0
            if isStarter && keepsComposed && !joinsBackwards { flags |= hasCompatibility ? 1 : 1 | 4 }
            if isStarter && canonical[scalar] == 0 && !isSyllable { flags |= hasCompatibility ? 2 : 2 | 8 }
            stability[scalar] = flags
        }
        return ScalarTable(flat: stability)
    }

    /// Reads mappings (distance from the scalar before, count, scalars).
    static func readMappings(_ packed: StaticString, _ take: (_ scalar: Int, _ target: [UInt32]) -> Void) {
        var numbers = PackedNumbers(packed)
        var scalar = 0
        while !numbers.isAtEnd {
            scalar += numbers.next()
            let count = numbers.next()
            take(scalar, (0..<count).map { _ in UInt32(numbers.next()) })
        }
    }

    func combiningClass(_ scalar: UInt32) -> UInt16 { combiningClasses[scalar] }

    /// The full decomposition of `scalar`, itself where it has none.
    func decomposition(_ scalar: UInt32, isCompatibility: Bool) -> [UInt32] {
        if (0xAC00...0xD7A3).contains(scalar) {
            let index = scalar - 0xAC00
            let (lead, vowel, tail) = (0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28)
            return tail == 0x11A7 ? [lead, vowel] : [lead, vowel, tail]
        }
        let index = Int(isCompatibility ? compatibility[scalar] : canonical[scalar])
        return index == 0 ? [scalar] : expansions[index - 1]
    }

    /// The primary composite of two scalars.
    func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if (0x1100...0x1112).contains(first), (0x1161...0x1175).contains(second) {
            return 0xAC00 + (first - 0x1100) * 588 + (second - 0x1161) * 28
        }
        if (0xAC00...0xD7A3).contains(first), (first - 0xAC00) % 28 == 0, (0x11A8...0x11C2).contains(second) {
            return first + second - 0x11A7
        }
        return compositions.pairs[UInt64(first) << 32 | UInt64(second)]
    }
}

/// The primary composites.
private struct Compositions: Sendable {
    /// Composites by (first, second).
    private(set) var pairs: [UInt64: UInt32] = [:]
    private(set) var seconds: Set<UInt32> = []
    private(set) var composites: Set<Int> = []

    init() {
        var numbers = PackedNumbers(packedCompositions)
        var composite = 0
        while !numbers.isAtEnd {
            composite += numbers.next()
            let (first, second) = (UInt32(numbers.next()), UInt32(numbers.next()))
            pairs[UInt64(first) << 32 | UInt64(second)] = UInt32(composite)
            seconds.insert(second)
            composites.insert(composite)
        }
    }
}
