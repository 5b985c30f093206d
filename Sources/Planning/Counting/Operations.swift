internal import MartletLayers

/// The convention by which operations are counted.
package struct OperationConvention: Sendable, Hashable {
    /// The keys that are counted for a query.
    package enum Attention: String, Sendable, Hashable, Codable {
        /// All keys for every query, as a plain matrix product computes them.
        case fullSquare
        /// Only the keys that a query may see, as a good causal or windowed kernel computes them.
        case seen
    }
    /// The treatment of operations beside matrix products.
    package enum Elementwise: String, Sendable, Hashable, Codable {
        /// Matrix products only.
        case left
        /// Matrix products, softmax (5 per score) and norms (5 per element).
        case counted
    }
    /// The positions whose logits are counted.
    package enum Head: String, Sendable, Hashable, Codable {
        case everyPosition
        /// Logits of the last position only, as in generation.
        case lastPosition
    }
    package var attention: Attention
    package var elementwise: Elementwise
    package var head: Head

    package init(attention: Attention = .fullSquare, elementwise: Elementwise = .left, head: Head = .everyPosition) {
        (self.attention, self.elementwise, self.head) = (attention, elementwise, head)
    }

    /// Matrix products only, 2 per multiply-add, the full square of scores, the head at every position: what counters
    /// in training frameworks print.
    package static let matrixProducts = OperationConvention()

    var text: String {
        "2 per multiply-add, scores \(attention.rawValue), softmax and norms \(elementwise.rawValue), head at \(head.rawValue)"
    }
}

/// The parts of a pass that operations are counted by.
package enum OperationTerm: String, Sendable, Hashable, Codable, CaseIterable {
    case stem, queryKeyValue, scores, attentionOutput, feedForward, router, head, elementwise
}

/// Operations of passes through a model, by term. Exact integers.
package struct OperationCount: Sendable {
    let blueprint: Blueprint
    let convention: OperationConvention

    package init(_ blueprint: Blueprint, convention: OperationConvention = .matrixProducts) {
        (self.blueprint, self.convention) = (blueprint, convention)
    }

    /// The operations of one pass over whole sequences, by term.
    package func forwardTerms(_ workload: Workload) -> [OperationTerm: Count] {
        var terms: [OperationTerm: Count] = [:]
        let sequences = Count(workload.sequences)
        let source = Count(blueprint.sourceRows(workload))
        func add(_ tensors: [ParameterTensor], rows: Count, term: (ParameterTensor) -> OperationTerm) {
            for tensor in tensors {
                terms[term(tensor), default: 0] += sequences * products(tensor, rows: rows, source: source)
            }
        }
        for (index, stack) in blueprint.stacks.enumerated() {
            let rows = blueprint.rows(ofStack: index, workload)
            add(stack.own, rows: Count(rows)) { _ in .stem }
            for layer in stack.layers {
                add(layer.tensors, rows: Count(rows), term: OperationCount.term)
                terms[.scores, default: 0] += sequences * scores(layer, rows: rows, source: Int(source))
                terms[.elementwise, default: 0] +=
                    sequences
                    * elementwise(
                        layer, width: stack.width, rows: rows, source: Int(source))
            }
        }
        let last = blueprint.stacks.indices.last.map { blueprint.rows(ofStack: $0, workload) } ?? 0
        let own = Count(blueprint.stacks.first.map { _ in blueprint.rows(ofStack: 0, workload) } ?? 0)
        add(blueprint.embeddings, rows: own) { _ in .stem }
        let headRows = convention.head == .everyPosition ? Count(last) : 1
        terms[.head, default: 0] += sequences * head(rows: headRows)
        return terms.filter { $0.value > 0 }
    }

    /// The operations of one pass over whole sequences, all together.
    package func forward(_ workload: Workload) -> Quantity {
        Quantity(forwardTerms(workload).values.reduce(0, +), .flop, .forward(convention), workloadInputs(workload))
    }

    /// The operations of the backward pass, for the gradients of both inputs of every product.
    package func backward(_ workload: Workload) -> Quantity {
        let forward = forwardTerms(workload).values.reduce(0, +)
        return Quantity(2 * forward, .flop, .backward(convention), [.init("forward", forward)])
    }

    private func workloadInputs(_ workload: Workload) -> [Quantity.Input] {
        var inputs: [Quantity.Input] = [.init("sequences", workload.sequences), .init("tokens each", workload.tokens)]
        if blueprint.hasEncoder, blueprint.hasDecoder {
            inputs.append(.init("source tokens each", workload.sourceTokens))
        }
        return inputs
    }

    // MARK: - Parts

    /// The operations of a matrix product, 2 per element and row.
    private func products(_ tensor: ParameterTensor, rows: Count, source: Count) -> Count {
        switch tensor.use {
        case .lookedUp, .elementwise: 0
        case .routed: tensor.isMatrix ? 2 * tensor.activeElements * rows : 0
        case .multiplied(.own): 2 * tensor.elements * rows
        case .multiplied(.source): 2 * tensor.elements * source
        case .multiplied(.perSequence): 2 * tensor.elements
        case .multiplied(.fixed(let count)): 2 * tensor.elements * Count(count)
        }
    }

    private static func term(_ tensor: ParameterTensor) -> OperationTerm {
        switch tensor.role {
        case .query, .key, .value, .queryKeyValue, .latentQuery, .latentKeyValue, .relativePositions: .queryKeyValue
        case .output: .attentionOutput
        case .router: .router
        default: .feedForward
        }
    }

    private func scores(_ layer: Blueprint.Layer, rows: Int, source: Int) -> Count {
        let own = 2 * pairs(layer.attention.reach, rows: rows) * layer.attention.elementsPerPair
        guard let cross = layer.crossAttention else { return own }
        return own + 2 * Count(rows) * Count(source) * cross.elementsPerPair
    }

    /// Pairs of a query and a key that are multiplied.
    func pairs(_ reach: Architecture.Reach, rows: Int) -> Count {
        convention.attention == .fullSquare ? Count(rows) * Count(rows) : reach.seenPairs(rows: rows)
    }

    private func elementwise(_ layer: Blueprint.Layer, width: Int, rows: Int, source: Int) -> Count {
        guard convention.elementwise == .counted else { return 0 }
        let own = pairs(layer.attention.reach, rows: rows) * Count(layer.attention.queryHeads)
        let cross = layer.crossAttention.map { Count(rows) * Count(source) * Count($0.queryHeads) } ?? 0
        let norms = Count(layer.norms) * Count(width) * Count(rows)
        return 5 * (own + cross + norms)
    }

    /// The output projection and what stands before it.
    func head(rows: Count) -> Count {
        let own = blueprint.head.tensors.reduce(Count(0)) { $0 + products($1, rows: rows, source: rows) }
        guard blueprint.head.projection == .tied else { return own }
        return own + 2 * Count(blueprint.vocabulary) * Count(blueprint.head.width) * rows
    }
}

extension Blueprint.Attention {
    /// Multiply-adds for one query and one key over all heads: the score, and the value's share.
    var elementsPerPair: Count { Count(queryHeads) * Count(headWidth + valueWidth) }
}

extension Architecture.Reach {
    /// Pairs of a query and a key it sees, in a sequence of `rows`.
    func seenPairs(rows: Int) -> Count {
        let n = Count(rows)
        switch self {
        case .all: return n * n
        case .past: return n * (n + 1) / 2
        case .window(let size):
            let w = Count(min(size, rows))
            return w * (w + 1) / 2 + (n - w) * w
        case .chunk(let size):
            let (whole, rest) = (Count(rows / size), Count(rows % size))
            return whole * Count(size) * (Count(size) + 1) / 2 + rest * (rest + 1) / 2
        case .around(let size):
            let w = Count(min(size, max(rows - 1, 0)))
            return n * (2 * w + 1) - w * (w + 1)
        case .aroundAndSums(let size, let block):
            return Self.around(size).seenPairs(rows: rows) + n * Count(rows / max(block, 1))
        case .aroundAndGlobal(let size, let first):
            let g = Count(min(first, rows))
            return min(n * n, Self.around(size).seenPairs(rows: rows) + 2 * g * n - g * g)
        }
    }

    /// The number of keys that the query at the end of `tokens` sees.
    package func seenKeys(tokens: Int) -> Int {
        switch self {
        case .all, .past: tokens
        case .window(let size): min(tokens, size)
        case .chunk(let size): tokens == 0 ? 0 : (tokens - 1) % size + 1
        case .around(let size): min(tokens, 2 * size + 1)
        case .aroundAndSums(let size, let block): min(tokens, 2 * size + 1) + tokens / max(block, 1)
        case .aroundAndGlobal(let size, let first): min(tokens, 2 * size + 1 + first)
        }
    }
}

extension Formula {
    static func forward(_ convention: OperationConvention) -> Formula {
        Formula(
            "flops.forward",
            "Σ 2·elements·rows over matrices + Σ 2·pairs·heads·(key width + value width) over attentions",
            convention: convention.text, source: "matrix products of the description")
    }
    static func backward(_ convention: OperationConvention) -> Formula {
        Formula(
            "flops.backward", "2 · forward", convention: convention.text, source: "two products for each one forward")
    }
}
