import MartletFormats
import MartletJSON
import MartletLayers
import MartletQuantization
import MartletTensors
import TestSupport
import Testing

/// Errors and divergences against what numpy computed in f64, and rounding against ggml's own quantizers
/// (`Tools/fixtures/quantization_measures.py`).
@Suite struct MeasureTests {
    static let device = Device(threads: 2)
    static let types: [ElementType] = ElementType.allCases.filter(\.isBlockQuantized)

    struct Reference {
        let tensors: StoredTensors
        let facts: JSONObject

        init() throws {
            let file = try Safetensors(contentsOf: Fixtures.folder + "/quantization/measures.safetensors")
            tensors = file.tensors
            let text = try #require(file.metadata.first { $0.key == "facts" }?.value)
            facts = try #require(try JSON(parsing: Array(text.utf8)).objectValue)
        }

        func number(_ key: String) throws -> Double { try #require(facts[key]?.doubleValue) }
    }

    private static func close(_ actual: Double, _ expected: Double) -> Bool {
        abs(actual - expected) <= 1e-9 * abs(expected)
    }

    @Test func errorsAreThoseOfNumpy() throws {
        let reference = try Reference()
        let matrix = try reference.tensors.tensor("matrix"), rounded = try reference.tensors.tensor("rounded")
        let weights = try reference.tensors.tensor("weights").values
        let plain = TensorError("m", matrix, rounded, weights: nil, on: Self.device)
        #expect(Self.close(plain.relative, try reference.number("relative")) && plain.weighted == nil)
        let weighted = TensorError("m", matrix, rounded, weights: weights, on: Self.device)
        #expect(Self.close(try #require(weighted.weighted), try reference.number("weighted")))
        #expect(weighted.relative == plain.relative && weighted.elements == 2_048)
        // One row of weights for each matrix row, all the same, is one for all.
        let each = TensorError(
            "m", matrix, rounded, weights: Array(repeating: weights, count: 4).flatMap { $0 }, on: Self.device)
        #expect(each.weighted == weighted.weighted)
    }

    @Test func divergencesAreThoseOfNumpy() throws {
        let reference = try Reference()
        let following = try reference.tensors.tensor("following").integers
        var divergence = Divergence()
        let (p, q) = (try reference.tensors.tensor("reference"), try reference.tensors.tensor("logits"))
        divergence.add(
            reference: p.rows(0..<5), other: q.rows(0..<5), next: Array(following[..<5]), on: Self.device)
        divergence.add(
            reference: p.rows(5..<12), other: q.rows(5..<12), next: Array(following[5...]), on: Self.device)
        #expect(divergence.tokens == 12)
        #expect(Self.close(divergence.mean, try reference.number("kl_mean")))
        #expect(Self.close(divergence.largest, try reference.number("kl_max")))
        #expect(divergence.agreement == (try reference.number("agreement")))
        #expect(Self.close(divergence.perplexity, try reference.number("perplexity")))
        #expect(Self.close(divergence.referencePerplexity, try reference.number("reference_perplexity")))
    }

    /// No type loses more than llama.cpp's quantizer of the same type, with and without weights.
    @Test(arguments: types) func errorsAreNotAboveThoseOfGGML(_ type: ElementType) throws {
        let reference = try Reference()
        let matrix = try reference.tensors.tensor("matrix"), weights = try reference.tensors.tensor("weights").values
        let plain = TensorError(
            "m", matrix, matrix.rounded(to: type, on: Self.device), weights: nil, on: Self.device)
        #expect(plain.relative < (try reference.number("ggml.\(type.rawValue)")))
        let weighted = TensorError(
            "m", matrix, matrix.rounded(to: type, weights: weights, on: Self.device), weights: weights, on: Self.device)
        #expect(try #require(weighted.weighted) < (try reference.number("ggml.\(type.rawValue).weighted")))
    }

    /// Block by block, the search is never worse than plain rounding.
    @Test(arguments: types) func roundingIsNeverWorseThanTheReference(_ type: ElementType) {
        let blocks = 96, width = type.blockElements
        var values = Random(seed: 7).normals(blocks * width, deviation: 1)
        // Blocks of every temper: far from zero, with one giant, tiny, constant, of zeros, of one sign.
        for i in values.indices {
            switch i / width % 8 {
            case 1: values[i] += 9
            case 2: values[i] *= i % width == 5 ? 1_000 : 1
            case 3: values[i] *= 1e-6
            case 4: values[i] = 0.37
            case 5: values[i] = i % width < 3 ? values[i] : 0
            case 6: values[i] = abs(values[i])
            case 7: values[i] = -abs(values[i])
            default: break
            }
        }
        let matrix = Tensor(values, shape: [blocks, width])
        let weights = Random(seed: 8).normals(width, deviation: 1).map { $0 * $0 }
        let plain = matrix.converted(to: type, on: Self.device)
        for weights in [nil, weights] {
            let searched = matrix.rounded(to: type, weights: weights, on: Self.device)
            for block in 0..<blocks {
                func error(_ stored: Tensor) -> Double {
                    let part = TensorError(
                        "", matrix.rows(block..<block + 1), stored.rows(block..<block + 1), weights: weights,
                        on: Self.device)
                    return part.weighted ?? part.relative
                }
                #expect(error(searched) <= error(plain) * (1 + 1e-6), "block \(block)")
            }
        }
    }

    /// Numbers that no scale can hold, and none at all, are rounded to something, without a trap.
    @Test(arguments: types) func whatNoBlockCanHold(_ type: ElementType) {
        let width = type.blockElements
        for value: Float in [0, -0.0, .infinity, -.infinity, .nan, 1e38, -1e38, Float(bitPattern: 7), 65_504 * 200] {
            var values = Random(seed: 3).normals(width, deviation: 1)
            values[width / 2] = value
            let matrix = Tensor(values + Array(repeating: value, count: width), shape: [2, width])
            let rounded = matrix.rounded(
                to: type, weights: Array(repeating: 0, count: width), on: Self.device)
            #expect(rounded.bytes == 2 * type.block.bytes)
        }
    }

    @Test func plainTypesAreConverted() {
        let matrix = Tensor(Random(seed: 1).normals(64, deviation: 1), shape: [2, 32])
        let (rounded, converted) = (
            matrix.rounded(to: .bf16, on: Self.device), matrix.converted(to: .bf16, on: Self.device)
        )
        #expect(rounded.decoded(on: Self.device).values == converted.decoded(on: Self.device).values)
    }

    @Test func statisticsAreSumsOfSquares() {
        let statistics = InputStatistics(inputs: 2)
        statistics.add(Tensor([1, 2, 3, -4], shape: [2, 2]))
        statistics.add(Tensor([0.5, 0], shape: [1, 2]))
        #expect(statistics.squares == [10.25, 20] && statistics.rows == 3)
    }

    @Test func textsAreCutIntoWindows() {
        #expect(Divergence.windows([1, 2, 3, 4, 5], size: 3, beginning: []) == [[1, 2, 3], [4, 5]])
        #expect(Divergence.windows([1, 2, 3, 4, 5], size: 3, beginning: [9]) == [[9, 1, 2], [9, 3, 4], [9, 5]])
        #expect(Divergence.windows([1, 2, 3], size: 2, beginning: []) == [[1, 2]])
        #expect(Divergence.windows([], size: 2, beginning: [9]).isEmpty)
    }
}
