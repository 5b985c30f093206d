extension Architecture {
    /// What no model can be: sizes that contradict each other. Empty for a description that can be built.
    package var contradictions: [String] {
        var found: [String] = []
        let stacks: [Stack] =
            switch body {
            case .decoder(let stack), .encoder(let stack): [stack]
            case .encoderDecoder(let encoder, let decoder): [encoder, decoder]
            }
        for stack in stacks {
            for (index, layer) in stack.layers.enumerated() {
                let attentions = [layer.attention] + [layer.crossAttention].compactMap { $0 }
                let offences =
                    attentions.flatMap(Architecture.contradictions) + Architecture.contradictions(layer.feedForward)
                // Layers are mostly alike: each offence is told once.
                found += offences.map { "layer \(index): \($0)" }
                if !offences.isEmpty { break }
            }
        }
        return found
    }

    private static func contradictions(_ attention: Attention) -> [String] {
        var found: [String] = []
        if attention.headWidth < 1 { found.append("heads have no width: there are \(attention.queryHeads) of them") }
        if attention.queryHeads % max(attention.keyHeads, 1) != 0 {
            found.append("\(attention.queryHeads) query heads cannot share \(attention.keyHeads) key heads evenly")
        }
        if case .rotary(let rotary) = attention.positions, rotary.pairs * 2 > attention.headWidth {
            found.append(
                "\(rotary.pairs * 2) elements of each head would be rotated, but heads are \(attention.headWidth) wide")
        }
        return found
    }

    private static func contradictions(_ feedForward: FeedForward) -> [String] {
        guard case .experts(let experts) = feedForward, experts.active > experts.count else { return [] }
        return ["\(experts.active) experts would be active of \(experts.count)"]
    }
}
