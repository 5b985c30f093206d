extension Tensor {
    /// The router scores `[rows, experts]` with −∞ outside of the `active` best of `count` groups of neighbouring
    /// experts; a group is as good as the sum of its `best` largest numbers (arXiv:2405.04434, arXiv:2412.19437). Among
    /// equals the earlier group wins.
    package func within(_ active: Int, of count: Int, bySumOf best: Int) -> Tensor {
        let (experts, rows) = (shape.width, shape.rows)
        precondition(
            count > 0 && experts % count == 0 && active <= count && best <= experts / max(count, 1),
            "within: \(active) of \(count) groups of \(shape)")
        let size = experts / count
        let result = device(for: "within").make(shape)
        for row in 0..<rows {
            let values = (0..<experts).map { unsafe floats[row * experts + $0] }
            let sums = (0..<count).map { group in
                values[group * size..<(group + 1) * size].sorted(by: >).prefix(best).reduce(0, +)
            }
            let chosen = (0..<count).sorted { (sums[$0], $1) > (sums[$1], $0) }.prefix(active)
            for expert in 0..<experts {
                let isSeen = chosen.contains(expert / size)
                unsafe result.mutableFloats[row * experts + expert] = isSeen ? values[expert] : -.infinity
            }
        }
        return result
    }

    /// The routing weights of SparseMixer (arXiv:2409.12136) for router logits `[rows, experts]` where nothing is
    /// drawn: the best expert with its share of the softmax over those whose distance from it is at most twice `jitter`
    /// of the larger magnitude, then the same without it, and so on.
    ///
    /// - Returns: the shares, 0 of those that are not chosen, and 1 for the chosen.
    package func sparselyMixed(active: Int, jitter: Float) -> (shares: Tensor, chosen: Tensor) {
        let (rows, experts, device) = (shape.rows, shape.width, device(for: "sparselyMixed"))
        var taken = [Float](repeating: 0, count: rows * experts)
        var shares: Tensor?
        for _ in 0..<active {
            var hidden = [Float](repeating: -.infinity, count: rows * experts)
            var chosen = [Float](repeating: 0, count: rows * experts)
            for row in 0..<rows {
                let place = row * experts
                let logits = (0..<experts).map { unsafe taken[place + $0] == 1 ? -Float.infinity : floats[place + $0] }
                guard let best = logits.indices.max(by: { (logits[$0], $1) < (logits[$1], $0) }) else { continue }
                for (expert, logit) in logits.enumerated() where logit > -.infinity {
                    let larger = unsafe max(abs(floats[place + expert]), logits[best])
                    if (logits[best] - logit) / larger <= 2 * jitter { hidden[place + expert] = 0 }
                }
                hidden[place + best] = 0
                (chosen[place + best], taken[place + best]) = (1, 1)
            }
            let masked = self + device.tensor(hidden, shape: shape)
            let own = masked.softmax() * device.tensor(chosen, shape: shape)
            shares = shares.map { $0 + own } ?? own
        }
        return (shares ?? self * 0, device.tensor(taken, shape: shape))
    }
}
