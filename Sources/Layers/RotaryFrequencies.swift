import MartletPlatform
package import MartletTensors

/// The frequencies of rotary positions (RoPE), and the angles they give: arXiv:2104.09864 and the scalings of
/// `Architecture.Rotary.Scaling`.
///
/// Frequencies and angles are rounded to f32 where the reference rounds them, so that far positions rotate by the
/// same angle there and here.
package struct RotaryFrequencies: Sendable {
    private let rotary: Architecture.Rotary
    /// The frequencies, `[pairs]`, for sequences no longer than the model was trained on.
    private let frequencies: [Float]
    /// The attention factor, by which cosines and sines are multiplied.
    private let attention: Float

    package init(_ rotary: Architecture.Rotary) {
        self.rotary = rotary
        let plain = RotaryFrequencies.plain(width: rotary.width, base: Double(rotary.base))
        (frequencies, attention) =
            switch rotary.scaling {
            case .none, .dynamic: (plain, 1)
            case .linear(let factor): (plain.map { $0 / factor }, 1)
            case .llama3(let factor, let low, let high, let trained):
                (plain.map { RotaryFrequencies.llama3($0, factor: factor, low: low, high: high, trained: trained) }, 1)
            case .yarn(let yarn): (RotaryFrequencies.yarn(yarn, rotary), yarn.attention)
            case .ntk(let factor, let mixed): (RotaryFrequencies.ntk(rotary, factor: factor, mixed: mixed), 1)
            case .proportional(let turned, let factor):
                (plain.enumerated().map { $0 < turned ? $1 / factor : 0 }, 1)
            case .divided(let divisors): (RotaryFrequencies.divided(plain, by: divisors), 1)
            case .long(let short, _, _, let attention): (RotaryFrequencies.long(rotary, divisors: short), attention)
            }
    }

    /// The divisors of the unscaled frequencies, `[pairs]`, for sequences no longer than the model was trained on.
    package var divisors: [Float] {
        zip(RotaryFrequencies.plain(width: rotary.width, base: Double(rotary.base)), frequencies).map { $0 / $1 }
    }

    /// The angles' cosines and sines for rows at `positions` of sequences that reach `extents` (one per row).
    ///
    /// - Returns: two `[rows, pairs]`.
    package func table(positions: [Int32], extents: [Int32], on device: Device) -> RotationTable {
        let half = rotary.pairs
        let (cosines, sines) = (device.make([positions.count, half]), device.make([positions.count, half]))
        device.parallel(positions.count, cost: half * 40) { range in
            var extent: Int32 = -1
            var frequencies = frequencies
            for row in range {
                if extents[row] != extent {
                    extent = extents[row]
                    frequencies = self.frequencies(forExtent: Int(extent))
                }
                unsafe writeAngles(
                    frequencies, position: positions[row], cosines: cosines.mutableFloats + row * half,
                    sines: sines.mutableFloats + row * half)
            }
        }
        return RotationTable(cosines: cosines, sines: sines)
    }

    var pairs: Int { rotary.pairs }

    /// Writes the angles' cosines and sines for one position.
    func writeAngles(
        _ frequencies: [Float], position: Int32, cosines: UnsafeMutablePointer<Float>,
        sines: UnsafeMutablePointer<Float>
    ) {
        for i in 0..<rotary.pairs {
            // The angle is rounded to f32 as the reference rounds it; cosine and sine are then exact to f32.
            let angle = Double(Float(position) * frequencies[i])
            unsafe cosines[i] = Float(cos(angle)) * attention
            unsafe sines[i] = Float(sin(angle)) * attention
        }
    }

    /// The frequencies for a sequence that reaches `extent` positions: they change with it in two of the scalings.
    func frequencies(forExtent extent: Int) -> [Float] {
        switch rotary.scaling {
        case .dynamic(let factor, let trained) where extent > trained:
            let (width, factor) = (Double(rotary.width), Double(factor))
            let growth = factor * Double(extent) / Double(trained) - (factor - 1)
            return RotaryFrequencies.plain(
                width: rotary.width, base: Double(rotary.base) * pow(growth, width / (width - 2)))
        case .long(_, let long, let trained, _) where extent > trained:
            return RotaryFrequencies.long(rotary, divisors: long)
        default:
            return frequencies
        }
    }

    private static func plain(width: Int, base: Double) -> [Float] {
        stride(from: 0, to: width, by: 2).map { 1 / Float(pow(base, Double(Float($0) / Float(width)))) }
    }

    private static func divided(_ frequencies: [Float], by divisors: [Float]) -> [Float] {
        precondition(
            divisors.count == frequencies.count,
            "rotary: \(divisors.count) divisors for \(frequencies.count) frequencies")
        return zip(frequencies, divisors).map { $0 / $1 }
    }

    /// Divisor and period are multiplied before the division, as in the reference: far positions would otherwise
    /// visibly differ.
    private static func long(_ rotary: Architecture.Rotary, divisors: [Float]) -> [Float] {
        precondition(
            divisors.count == rotary.pairs, "rotary: \(divisors.count) divisors for \(rotary.width) elements")
        return divisors.enumerated().map { index, divisor in
            1 / (divisor * Float(pow(Double(rotary.base), Double(Float(2 * index) / Float(rotary.width)))))
        }
    }

    private static func ntk(_ rotary: Architecture.Rotary, factor: Float, mixed: Float?) -> [Float] {
        let width = Double(rotary.width)
        guard let mixed else {
            let shrunk = Float(pow(Double(factor), 2 / width))
            return plain(width: rotary.width, base: Double(rotary.base * factor)).map { $0 / shrunk }
        }
        let rate = log(Double(factor)) / pow(width / 2, Double(mixed))
        return plain(width: rotary.width, base: Double(rotary.base)).enumerated().map { index, frequency in
            frequency / Float(exp(rate * pow(Double(index + 1), Double(mixed))))
        }
    }

    private static func llama3(_ frequency: Float, factor: Float, low: Float, high: Float, trained: Int) -> Float {
        let wavelength = 2 * Float.pi / frequency
        let trained = Float(trained)
        if wavelength < trained / high { return frequency }
        if wavelength > trained / low { return frequency / factor }
        let smooth = (trained / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
    }

    private static func yarn(_ yarn: Architecture.Rotary.Yarn, _ rotary: Architecture.Rotary) -> [Float] {
        let (width, base) = (Double(rotary.width), Double(rotary.base))
        func dimension(_ rotations: Float) -> Double {
            width * log(Double(yarn.trained) / (Double(rotations) * 2 * .pi)) / (2 * log(base))
        }
        var (first, last) = (dimension(yarn.fast), dimension(yarn.slow))
        if yarn.ends == .rounded { (first, last) = (first.rounded(.down), last.rounded(.up)) }
        (first, last) = (max(first, 0), min(last, width - 1))
        if first == last { last += 0.001 }
        return stride(from: 0, to: rotary.width, by: 2).map { i in
            let period = Float(pow(base, Double(Float(i) / Float(rotary.width))))
            // The reference's ramp has half as many entries as an odd width, rounded down.
            let entry = max(0, min(i / 2, rotary.width / 2 - 1))
            let ramp = min(max((Float(entry) - Float(first)) / Float(last - first), 0), 1)
            return 1 / (yarn.factor * period) * ramp + 1 / period * (1 - ramp)
        }
    }
}
