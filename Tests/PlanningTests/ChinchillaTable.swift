import MartletPlanning
import MartletPlatform

/// The optimal operations and tokens that Hoffmann et al. 2022 print (arXiv:2203.15556, tables 3 and A3), by approach.
enum ChinchillaTable {
    /// The paper's way to find them.
    enum Approach: Int, Sendable, Hashable, Codable, CaseIterable {
        /// The lower envelope of training curves.
        case trainingCurves = 1
        /// Parabolas through runs of equal operations.
        case equalCompute
        /// The parametric fit.
        case parametric
    }

    private static let parameters: [Double] = [4e8, 1e9, 1e10, 6.7e10, 1.75e11, 2.8e11, 5.2e11, 1e12, 1e13]
    private static let compute: [Approach: [Double]] = [
        .trainingCurves: [1.92e19, 1.21e20, 1.23e22, 5.76e23, 3.85e24, 9.90e24, 3.43e25, 1.27e26, 1.30e28],
        .equalCompute: [1.84e19, 1.20e20, 1.32e22, 6.88e23, 4.54e24, 1.18e25, 4.19e25, 1.59e26, 1.75e28],
        .parametric: [2.21e19, 1.62e20, 2.46e22, 1.71e24, 1.26e25, 3.52e25, 1.36e26, 5.65e26, 8.55e28],
    ]
    private static let tokens: [Approach: [Double]] = [
        .trainingCurves: [8.0e9, 20.2e9, 205.1e9, 1.5e12, 3.7e12, 5.9e12, 11.0e12, 21.2e12, 216.2e12],
        .equalCompute: [7.7e9, 20.0e9, 219.5e9, 1.7e12, 4.3e12, 7.1e12, 13.4e12, 26.5e12, 292.0e12],
        .parametric: [9.2e9, 27.1e9, 410.1e9, 4.1e12, 12.0e12, 20.1e12, 43.5e12, 94.1e12, 1425.5e12],
    ]

    /// Tokens with which so many parameters are optimal; between the table's rows by a line through logarithms, and
    /// beyond them by the line of the nearest two.
    static func optimalTokens(parameters: Double, approach: Approach) -> Quantity {
        interpolated(tokens[approach] ?? [], parameters, approach, .tokens, "tokens")
    }

    /// Operations for which so many parameters are optimal.
    static func optimalCompute(parameters: Double, approach: Approach) -> Quantity {
        interpolated(compute[approach] ?? [], parameters, approach, .flop, "compute")
    }

    private static func interpolated(
        _ column: [Double], _ wanted: Double, _ approach: Approach, _ unit: Unit, _ name: String
    ) -> Quantity {
        let x = log(wanted)
        let last = parameters.count - 2
        let row = min(max((parameters.firstIndex { $0 >= wanted } ?? parameters.count) - 1, 0), last)
        let (x0, x1) = (log(parameters[row]), log(parameters[row + 1]))
        let (y0, y1) = (log(column[row]), log(column[row + 1]))
        return Quantity(
            exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0)), unit,
            Formula(
                "scaling.chinchilla_\(name)", "the table's row, or a line through logarithms between rows",
                convention: "approach \(approach.rawValue)", source: "arXiv:2203.15556 tables 3 and A3"),
            [.init("N", wanted)])
    }
}
