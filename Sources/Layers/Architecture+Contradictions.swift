extension Architecture {
    /// Contradictions between sizes, which no model can have. Empty for a description that can be built.
    package var contradictions: [String] {
        var found = oversized.map { [$0] } ?? []
        for (_, stack) in stacks {
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

    /// Elements of one matrix, width of one head and experts of all layers that are more than any model has; beyond
    /// them sizes could not be computed with, nor held.
    private static let (mostElements, widestHead, mostExperts) = (1 << 44, 1 << 16, 1 << 15)

    /// The first size that no memory holds.
    private var oversized: String? {
        var experts = 0
        var sizes = [("the token table", vocabulary, width)]
        for (_, stack) in stacks {
            if case .learned(let count, _) = stack.positions { sizes.append(("the positions", count, width)) }
            for layer in stack.layers {
                let attention = layer.attention
                sizes.append(("a head", attention.headWidth, Architecture.mostElements / Architecture.widestHead))
                sizes.append(
                    ("the queries", max(attention.queryHeads, attention.keyHeads) * attention.headWidth, width))
                if let latent = attention.latent {
                    sizes.append(("a latent row", max(latent.query ?? 0, latent.keyValue + latent.rotated), width))
                    sizes.append(("the values", attention.queryHeads * latent.valueWidth, width))
                }
                switch layer.feedForward {
                case .plain(let hidden, _, _), .gated(let hidden, _, _), .expandedIntegral(let hidden):
                    sizes.append(("the feed-forward", hidden, width))
                case .experts(let form):
                    sizes.append(("an expert", max(form.hidden, form.shared?.hidden ?? 0), width))
                    experts += form.count
                }
            }
        }
        if experts > Architecture.mostExperts { return "there would be \(experts) experts" }
        let tooLarge = sizes.first { $0.1 > Architecture.mostElements / max($0.2, 1) }
        return tooLarge.map { "\($0.0) would have \($0.1) × \($0.2) elements, more than any memory holds" }
    }

    private static func contradictions(_ attention: Attention) -> [String] {
        var found: [String] = []
        if attention.headWidth < 1 { found.append("heads have no width: there are \(attention.queryHeads) of them") }
        if attention.queryHeads % max(attention.keyHeads, 1) != 0 {
            found.append("\(attention.queryHeads) query heads cannot share \(attention.keyHeads) key heads evenly")
        }
        if let latent = attention.latent {
            if attention.keyHeads != attention.queryHeads {
                found.append(
                    "\(attention.keyHeads) key heads for \(attention.queryHeads) query heads of a latent attention")
            }
            if latent.rotated > attention.headWidth || latent.rotated < 1 {
                found.append("\(latent.rotated) elements of heads that are \(attention.headWidth) wide would be shared")
            }
        }
        if case .rotary(let rotary) = attention.positions,
            rotary.pairs * 2 > attention.latent?.rotated ?? attention.headWidth
        {
            found.append(
                "\(rotary.pairs * 2) elements of each head would be rotated, but heads are \(attention.headWidth) wide")
        }
        return found
    }

    private static func contradictions(_ feedForward: FeedForward) -> [String] {
        guard case .experts(let experts) = feedForward else { return [] }
        var found: [String] = []
        if experts.active > experts.count {
            found.append("\(experts.active) experts would be active of \(experts.count)")
        }
        guard let groups = experts.routing.groups else { return found }
        let size = experts.count / max(groups.count, 1)
        if experts.count % max(groups.count, 1) != 0 || groups.active > groups.count {
            found.append("\(groups.active) of \(groups.count) groups would be active of \(experts.count) experts")
        } else if groups.active * size < experts.active || groups.measure == .sumOfTwoBest && size < 2 {
            found.append(
                "groups of \(size) experts, \(groups.active) of them active, are too small for \(experts.active)")
        }
        return found
    }
}
