import MartletJSON
import MartletPlanning
import MartletPlatform

/// Training runs to fit a scaling law to.
enum Runs {
    /// The 240 lowest losses read off Hoffmann et al.'s figure 4, where the folder with outside data is at hand.
    static let published: [RunObservation]? = {
        guard let text = readText("tables/chinchilla-runs.csv") else { return nil }
        let runs = text.split(separator: "\n").dropFirst().compactMap { line -> RunObservation? in
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            guard fields.count > 6, let parameters = Double(fields[3]), let compute = Double(fields[4]),
                let loss = Double(fields[6])
            else { return nil }
            return RunObservation(parameters: parameters, tokens: compute / (6 * parameters), loss: loss)
        }
        return Array(runs.sorted { $0.loss < $1.loss }.dropLast(5))
    }()

    /// The law that a fit to noiseless points of it gives back.
    static func expected(_ truth: GroundTruth) throws -> [String: Double] {
        func constant(_ name: String) -> Double { truth.expected[name]?.doubleValue ?? .nan }
        let law = ParametricLaw(
            name: "expected", source: "the case", a: constant("A"), b: constant("B"), e: constant("E"),
            alpha: constant("alpha"), beta: constant("beta"))
        let fitted = try ScalingFit(points(of: law)).best()
        return ["A": fitted.a, "B": fitted.b, "E": fitted.e, "alpha": fitted.alpha, "beta": fitted.beta]
    }

    /// Noiseless runs of a law over two decades of sizes and of tokens.
    static func points(of law: ParametricLaw) -> [RunObservation] {
        [1e8, 3e8, 1e9, 3e9, 1e10].flatMap { parameters in
            [1e9, 4e9, 2e10, 1e11, 5e11].map { tokens in
                RunObservation(
                    parameters: parameters, tokens: tokens,
                    loss: law.loss(parameters: parameters, tokens: tokens).amount)
            }
        }
    }

    private static func readText(_ path: String) -> String? {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let folder = unsafe getenv("MARTLET_DATA").map { unsafe String(cString: $0) } ?? "/\(root)/../shared/data"
        guard let file = unsafe fopen("\(folder)/\(path)", "r") else { return nil }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
