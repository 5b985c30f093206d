import MartletTensors
import TestSupport
import Testing

@Suite struct RandomTests {
    /// The known answers that the authors of Philox publish with Random123 for philox4x32-10.
    @Test func knownAnswers() {
        let zeros = Random(seed: 0, stream: 0).words(at: 0)
        #expect(zeros == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        let ones = Random(seed: .max, stream: .max).words(at: .max)
        #expect(ones == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        let pi = Random(seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e).words(at: 0x85a3_08d3_243f_6a88)
        #expect(pi == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func uniformNumbersRepeatAndFillTheInterval() {
        var (first, second) = (Random(seed: 7), Random(seed: 7))
        let numbers = (0..<10_000).map { _ in first.uniform() }
        #expect(numbers == (0..<10_000).map { _ in second.uniform() })
        #expect(numbers.allSatisfy { $0 >= 0 && $0 < 1 })
        #expect(abs(numbers.reduce(0, +) / 10_000 - 0.5) < 0.015)
    }

    @Test func normalNumbersHaveTheirMoments() {
        let numbers = Random(seed: 3).normals(100_000, deviation: 2).map(Double.init)
        let mean = numbers.reduce(0, +) / 100_000
        let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 100_000
        #expect(abs(mean) < 0.03)
        #expect(abs(variance - 4) < 0.1)
        #expect(
            Random(seed: 3).normals(5, deviation: 2) == Random(seed: 3).normals(100, deviation: 2).prefix(5).map { $0 })
    }
}
