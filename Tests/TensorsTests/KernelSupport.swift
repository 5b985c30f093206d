import CMartletKernels
import MartletTensors
import Testing

/// All kernel tests, one after the other: they switch the instruction set, which the whole process shares.
@Suite("Kernels", .serialized)
enum KernelTests {}

/// The levels that this processor has, the definition first.
func kernelLevels() -> [martlet_level] {
    let before = martlet_kernel_level()
    defer { _ = martlet_use_kernel_level(before) }
    return [MARTLET_SCALAR, MARTLET_NEON, MARTLET_AVX2, MARTLET_AVXVNNI, MARTLET_AVX512, MARTLET_AMX].filter {
        martlet_use_kernel_level($0)
    }
}

/// Runs `body` at each level and returns what it gave, by level.
func atEachLevel<Result>(_ body: () throws -> Result) rethrows -> [(level: martlet_level, result: Result)] {
    let before = martlet_kernel_level()
    defer { _ = martlet_use_kernel_level(before) }
    return try kernelLevels().map { level in
        _ = martlet_use_kernel_level(level)
        return (level, try body())
    }
}

/// Runs `body` at each level, expects the same bits from all, and returns them.
func sameAtEachLevel(_ what: String, _ body: () throws -> [Float]) rethrows -> [Float] {
    let results = try atEachLevel(body)
    for (level, result) in results.dropFirst() {
        #expect(bits(result) == bits(results[0].result), "\(what): level \(level.rawValue) against the definition")
    }
    return results[0].result
}

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// SplitMix64, for seeded test data.
struct TestRandom: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -2...2) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }
}

/// Whole stored rows: encode and decode through the kernels.
func encoded(_ type: ElementType, _ values: [Float]) -> [UInt8] {
    var stored = [UInt8](repeating: 0, count: values.count / type.block.elements * type.block.bytes)
    let written = unsafe martlet_encode(type.kernelType, values, &stored, values.count)
    #expect(written)
    return stored
}

func decoded(_ type: ElementType, _ stored: [UInt8]) -> [Float] {
    var values = [Float](repeating: 0, count: stored.count / type.block.bytes * type.blockElements)
    unsafe martlet_decode(type.kernelType, stored, &values, values.count)
    return values
}

extension ElementType {
    /// The kernels number the types as `allCases` does.
    var kernelType: martlet_type {
        martlet_type(rawValue: UInt32(ElementType.allCases.firstIndex(of: self) ?? 0))
    }
}
