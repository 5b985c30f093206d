import CMartletKernels
import MartletTensors
import Testing

extension KernelTests {
    /// Stored blocks against what the gguf package makes of them.
    @Suite struct Blocks {
        @Test(arguments: kernelBlockFixtures) func decodesAsTheReference(_ fixture: KernelBlockFixture) throws {
            let type = try #require(ElementType(rawValue: fixture.name))
            #expect(decoded(type, bytes(fixture.stored)).flatMap { littleEndian($0) } == bytes(fixture.decoded))
        }

        @Test(arguments: kernelBlockFixtures) func encodesAsTheReference(_ fixture: KernelBlockFixture) throws {
            let type = try #require(ElementType(rawValue: fixture.name))
            guard let expected = fixture.encodedRamp else { return }
            #expect(encoded(type, ramp(256)) == bytes(expected))
        }

        @Test func halfPrecisionRoundsToNearestEven() {
            let values: [Float] = [
                1 + 0x1p-11, 1 + 0x3p-11, 65519, 65520, 0x1p-25, 0x1.000002p-25, 0x3p-25, -0.0, .infinity,
            ]
            let expected: [UInt16] = [0x3C00, 0x3C02, 0x7BFF, 0x7C00, 0, 1, 2, 0x8000, 0x7C00]
            #expect(encoded(.f16, values) == expected.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
            #expect(decoded(.f16, encoded(.f16, [.nan]))[0].isNaN)
            #expect(decoded(.bf16, encoded(.bf16, [.nan]))[0].isNaN)
        }

        /// Every half decodes to a value that encodes to itself.
        @Test func halvesSurviveTheRoundTrip() {
            let all = (0...UInt16.max).filter { $0 & 0x7FFF <= 0x7C00 }
            let stored = all.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            #expect(encoded(.f16, decoded(.f16, stored)) == stored)
        }

        /// The search's integers and scales do not depend on the instruction set.
        @Test(arguments: ElementType.allCases.filter(\.isBlockQuantized)) func searchesAreTheSame(_ type: ElementType) {
            var random = TestRandom(12)
            let values = random.floats(1_024), weights = random.floats(1_024, 0...3)
            for weights in [nil, weights] {
                let results = atEachLevel {
                    var stored = [UInt8](repeating: 0, count: 1_024 / type.block.elements * type.block.bytes)
                    let written = unsafe martlet_encode_searched(
                        type.kernelType, values, weights, &stored, values.count)
                    #expect(written)
                    return stored
                }
                #expect(results.allSatisfy { $0.result == results[0].result })
            }
        }

        /// The root mean square error, relative to that of the values, which the formats reach on a uniform
        /// distribution.
        @Test(arguments: [
            (ElementType.q8_0, 0.0045), (.q4_0, 0.075), (.q4_1, 0.075), (.q5_0, 0.037), (.q5_1, 0.037), (.q4_K, 0.062),
            (.q5_K, 0.031), (.q6_K, 0.0155),
        ]) func encodingErrorIsSmall(_ type: ElementType, _ limit: Double) {
            var random = TestRandom(7)
            let values = random.floats(256 * 64)
            let restored = decoded(type, encoded(type, values))
            let error = zip(values, restored).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
            let size = values.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect((error / size).squareRoot() < limit)
        }

        @Test(arguments: ElementType.allCases.filter(\.isBlockQuantized)) func zerosStayZero(_ type: ElementType) {
            #expect(decoded(type, encoded(type, [Float](repeating: 0, count: 512))).allSatisfy { $0 == 0 })
        }

        @Test func integersAreNotWritten() {
            var stored = [UInt8](repeating: 0, count: 4)
            let written = unsafe martlet_encode(MARTLET_I32, [1], &stored, 1)
            #expect(!written)
            #expect(decoded(.i32, [0xFE, 0xFF, 0xFF, 0xFF]) == [-2])
        }

        private func ramp(_ count: Int) -> [Float] { (0..<count).map { Float($0 * 37 % 129 - 60) / 64 } }

        private func bytes(_ hex: String) -> [UInt8] {
            let digits = hex.utf8.map { $0 > 0x60 ? $0 - 0x57 : $0 - 0x30 }
            return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }

        private func littleEndian(_ value: Float) -> [UInt8] {
            (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
        }
    }
}
