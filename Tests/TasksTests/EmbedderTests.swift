import MartletFormats
import MartletJSON
import MartletModels
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// A real sentence encoder, all-MiniLM-L6-v2, against the numbers that its reference computes.
@Suite(.enabled(if: Fixtures.data != nil, "needs the real models beside the package")) struct EmbedderTests {
    static let data = Fixtures.data ?? ""

    static func embedder(threads: Int = 2, matrices: ElementType? = nil) throws -> Embedder {
        let path = data + "/weights/all-MiniLM-L6-v2"
        let tokenizer = try Tokenizer(json: Fixtures.bytes(path + "/tokenizer.json"))
        var file = try ModelFile(path: path)
        file.matrices = matrices
        return try Embedder(file, tokenizer, on: Device(threads: threads))
    }

    @Test func goldenSentences() throws {
        let goldens = try JSON(contentsOf: Self.data + "/goldens/all-MiniLM-L6-v2/numerics.json")
        let sentences = goldens["sentences"]?.arrayValue ?? []
        let vectors = try Self.embedder().embed(sentences.compactMap { $0["text"]?.stringValue })
        #expect(vectors.count == 8)
        for (vector, sentence) in zip(vectors, sentences) {
            let wanted = sentence["embedding"]?.arrayValue?.compactMap(\.doubleValue).map { Float($0) } ?? []
            let comparison = Comparison(Array(vector.prefix(wanted.count)), wanted, absolute: 1e-5)
            #expect(comparison.withinTolerance, "\(comparison)")
        }
    }

    /// Each vector has the bits that it has alone, on any number of threads.
    @Test func batchedIsAlone() throws {
        let sentences = ["a", "The cat sat on the mat, and then it sat there for a long while.", "two words"]
        let together = try Self.embedder().embed(sentences)
        let alone = try Self.embedder(threads: 1)
        #expect(try together == sentences.map { try alone.embed([$0])[0] })
    }

    @Test(arguments: [("dev", 0.867163), ("test", 0.820325)])
    func semanticSimilarity(split: String, published: Double) throws {
        let correlation = try Self.correlation(split, Self.embedder())
        #expect((correlation * 1e6).rounded() / 1e6 == published)
    }

    /// Weights and activations as int8: the vectors turn by little, and the ranks of similarities by less.
    @Test(arguments: [("dev", 0.867163), ("test", 0.820325)])
    func eightBits(split: String, published: Double) throws {
        let embedder = try Self.embedder(matrices: .q8_0)
        let sentences = ["The cat sat on the mat.", "Shares fell sharply after the announcement.", "a"]
        let (exact, rounded) = (try Self.embedder().embed(sentences), try embedder.embed(sentences))
        for (a, b) in zip(exact, rounded) {
            let cosine = zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            #expect(cosine > 0.999 && a != b, "\(cosine)")
        }
        let correlation = try Self.correlation(split, embedder)
        #expect(abs(correlation - published) < 0.001, "\(correlation)")
    }

    /// Of the cosines of sentence pairs with what people say of their similarity.
    private static func correlation(_ split: String, _ embedder: Embedder) throws -> Double {
        var (left, right, scores): ([String], [String], [Double]) = ([], [], [])
        for line in Fixtures.lines(data + "/datasets/stsb/stsb-en-\(split).csv") where !line.isEmpty {
            let fields = CommaSeparated.fields(line)
            guard fields.count == 3, let score = Double(fields[2]) else { continue }
            left.append(fields[0])
            right.append(fields[1])
            scores.append(score)
        }
        #expect(scores.count == (split == "dev" ? 1_500 : 1_379))
        let cosines = zip(try embedder.embed(left), try embedder.embed(right)).map { a, b in
            zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        }
        return Correlation.spearman(cosines, scores)
    }
}

/// Lines of comma-separated values, where quotes protect commas and double themselves.
enum CommaSeparated {
    static func fields(_ line: String) -> [String] {
        var fields: [[UInt8]] = [[]]
        var (isQuoted, previousWasQuote) = (false, false)
        for byte in line.utf8 where byte != 13 {
            if byte == UInt8(ascii: "\"") {
                if previousWasQuote && !isQuoted { fields[fields.count - 1].append(byte) }
                isQuoted.toggle()
                previousWasQuote = !isQuoted
                continue
            }
            previousWasQuote = false
            if byte == UInt8(ascii: ",") && !isQuoted {
                fields.append([])
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        return fields.map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Rank correlation, ties sharing the mean of their ranks.
enum Correlation {
    static func spearman(_ a: [Double], _ b: [Double]) -> Double { pearson(ranks(a), ranks(b)) }

    private static func pearson(_ a: [Double], _ b: [Double]) -> Double {
        let (meanA, meanB) = (a.reduce(0, +) / Double(a.count), b.reduce(0, +) / Double(b.count))
        var (ab, aa, bb) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            ab += (x - meanA) * (y - meanB)
            aa += (x - meanA) * (x - meanA)
            bb += (y - meanB) * (y - meanB)
        }
        return ab / (aa * bb).squareRoot()
    }

    private static func ranks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Double](repeating: 0, count: values.count)
        var first = 0
        while first < order.count {
            var end = first + 1
            while end < order.count, values[order[end]] == values[order[first]] { end += 1 }
            for index in first..<end { ranks[order[index]] = Double(first + end - 1) / 2 + 1 }
            first = end
        }
        return ranks
    }
}
