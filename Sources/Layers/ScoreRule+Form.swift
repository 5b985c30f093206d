import MartletPlatform
package import MartletTensors

extension Architecture.Attention {
    /// The rule for scores of `keys` keys, from the first position on, of sequence `sequence` of a pass.
    package func scoreRule(keys: Int, _ bias: ScoreBias? = nil, sequence: Int = 0) -> ScoreRule {
        var rule = ScoreRule(scale: scale, cap: scoreCap)
        if case .linearBias(let kind) = positions {
            switch kind {
            case .afterScaling: rule.slopes = Architecture.Attention.slopes(heads: queryHeads)
            case .beforeScaling: rule.bias = .pairs(roundedBias(keys: keys))
            // Comes with the pass, by distance.
            case .bothWays: break
            }
        }
        switch bias {
        case nil: break
        case .distances(let bias): rule.bias = .distances(bias)
        case .pairs(let biases): rule.bias = .pairs(biases[sequence])
        case .sinks(let sinks): rule.sinks = sinks
        }
        return rule
    }

    /// ALiBi rounded to bf16, slope · key · scale, with slope and product rounded to bf16, so that they are no longer
    /// alike for equal distances: `[heads, 1, keys]`.
    func roundedBias(keys: Int) -> Tensor {
        let slopes = Architecture.Attention.slopes(heads: queryHeads)
        let values = slopes.flatMap { slope in
            (0..<keys).map { (slope.roundedToBFloat16 * Float($0)).roundedToBFloat16 * scale }
        }
        return Tensor(values, shape: [slopes.count, 1, keys])
    }

    /// ALiBi's slopes (arXiv:2108.12409): 2^(−8 i / n) for a power of two n; otherwise those of the next lower power,
    /// then every second one of the next higher.
    static func slopes(heads: Int) -> [Float] {
        func geometric(_ count: Int) -> [Float] {
            let ratio = exp2(-8 / Double(count))
            return (1...count).map { Float(pow(ratio, Double($0))) }
        }
        let lower = 1 << (Int.bitWidth - 1 - max(heads, 1).leadingZeroBitCount)
        guard lower < heads else { return geometric(heads) }
        let between = geometric(lower * 2).enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
        return geometric(lower) + between.prefix(heads - lower)
    }
}

extension Float {
    /// The nearest number of eight significant bits, ties to even.
    ///
    /// - Precondition: the number is finite.
    fileprivate var roundedToBFloat16: Float {
        Float(bitPattern: (bitPattern + 0x7fff + (bitPattern >> 16 & 1)) & 0xffff_0000)
    }
}
