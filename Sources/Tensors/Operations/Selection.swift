import CMartletKernels

/// Changes of single logits before a token is chosen, ascending by token: biases and penalties.
package struct LogitChanges: Sendable {
    fileprivate var entries: [martlet_logit_change] = []

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    /// Changes the logit z of `token`, on top of earlier changes, to z + bias, then divided by `penalty` when positive
    /// and multiplied by it when negative, less `subtracting`. A token that no vocabulary has is left out.
    package mutating func change(_ token: Int32, bias: Float = 0, penalty: Float = 1, subtracting: Float = 0) {
        guard let token = UInt32(exactly: token) else { return }
        let index = place(of: token)
        if index == entries.count || entries[index].token != token {
            entries.insert(martlet_logit_change(token: token, bias: 0, penalty: 1, subtracted: 0), at: index)
        }
        entries[index].bias += bias
        if penalty != 1 { entries[index].penalty = penalty }
        entries[index].subtracted += subtracting
    }

    /// The index at which `token` stands, or would be inserted.
    fileprivate func place(of token: UInt32) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].token < token { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// The restrictions under which a token is drawn from softmax(logits / temperature), applied in this order; temperature
/// 0 takes the largest.
package struct SelectionRules: Sendable {
    fileprivate let kernel: martlet_sampling

    /// - Parameters:
    ///   - topK: only this many of the largest logits; 0 keeps all.
    ///   - topP: only the most probable that together have this probability; 1 keeps all.
    ///   - minP: only those at least this times as probable as the most probable; 0 keeps all.
    ///   - typicalP: only those whose surprise is nearest to the entropy and that together have this probability; 1
    ///     keeps all.
    ///   - epsilon: only those of at least this probability, and the most probable; 0 keeps all.
    ///   - eta: only those of at least the probability min(eta, √eta e^−entropy), and the most probable; 0 keeps all.
    package init(
        temperature: Float, topK: Int = 0, topP: Float = 1, minP: Float = 0, typicalP: Float = 1, epsilon: Float = 0,
        eta: Float = 0
    ) {
        precondition(temperature >= 0 && topK >= 0, "SelectionRules: temperature \(temperature), top-k \(topK)")
        kernel = martlet_sampling(
            temperature: temperature, top_k: topK, top_p: topP, min_p: minP, typical_p: typicalP, epsilon: epsilon,
            eta: eta)
    }
}

extension Tensor {
    /// The token that `uniform`, 0 ..< 1, draws from row `row` of logits `[rows, vocabulary]`; nil where none may come.
    ///
    /// - Parameter allowed: bit t mod 32 of word t / 32 says whether token t may come; nil lets all. The bits of a row
    ///   depend on it alone.
    package func selection(
        row: Int = 0, _ rules: SelectionRules, _ changes: LogitChanges, allowed: [UInt32]?, uniform: Double
    ) -> Int? {
        var rules = rules.kernel
        let room = unsafe martlet_candidate_room(shape.width, &rules)
        let scratch = scratch(bytes: room * 32)
        let token = unsafe withLogits(row: row, changes, allowed) { logits in
            unsafe martlet_choose(logits, &rules, uniform, scratch.mutablePointer)
        }
        return token < shape.width ? token : nil
    }

    /// The tokens that `selection` draws from, with their weights, whose sum is not 1. For tests and for looking
    /// inside.
    package func candidates(
        row: Int = 0, _ rules: SelectionRules, _ changes: LogitChanges, allowed: [UInt32]?
    ) -> [(token: Int, weight: Float)] {
        var rules = rules.kernel
        let room = unsafe martlet_candidate_room(shape.width, &rules)
        let (storage, scratch) = (scratch(bytes: room * 16), scratch(bytes: room * 16))
        let candidates = unsafe storage.mutablePointer.assumingMemoryBound(to: martlet_candidate.self)
        let count = unsafe withLogits(row: row, changes, allowed) { logits in
            unsafe martlet_candidates(logits, &rules, candidates, scratch.mutablePointer)
        }
        return (0..<count).map { unsafe (Int(candidates[$0].token), candidates[$0].weight) }
    }

    /// A copy whose elements in `columns` are −∞ in every row; columns that there are not are left out.
    package func hiding(columns: [Int]) -> Tensor {
        let result = device(for: "hiding").make(shape)
        result.overwrite(with: self, adding: false)
        for row in 0..<shape.rows {
            for column in columns where column >= 0 && column < shape.width {
                unsafe result.mutableFloats[row * shape.width + column] = -.infinity
            }
        }
        return result
    }

    private func scratch(bytes: Int) -> Storage { device?.scratch(bytes: bytes) ?? Storage(bytes: bytes) }

    private func withLogits<Result>(
        row: Int, _ changes: LogitChanges, _ allowed: [UInt32]?, _ body: (UnsafePointer<martlet_logits>) -> Result
    ) -> Result {
        let width = shape.width
        precondition(row >= 0 && row < shape.rows, "selection: row \(row) of \(shape)")
        precondition(
            (allowed?.count ?? .max) >= (width + 31) / 32,
            "selection: a mask of \(allowed?.count ?? 0) words for \(shape)")
        var logits = unsafe martlet_logits()
        unsafe (logits.logits, logits.count) = (floats + row * width, width)
        unsafe logits.change_count = changes.place(of: UInt32(clamping: width))
        return unsafe changes.entries.withUnsafeBufferPointer { changes in
            unsafe logits.changes = changes.baseAddress
            return unsafe (allowed ?? []).withUnsafeBufferPointer { words in
                unsafe logits.allowed = allowed == nil ? nil : words.baseAddress
                return unsafe body(&logits)
            }
        }
    }
}

extension Tensor {
    /// The routes of router probabilities, `self` `[rows, experts]`: for each expert the rows that it is among the
    /// `active` best of, and its weights: the probabilities, with `renormalised` divided by the sum of those chosen for
    /// a row, times `factor`. Among equals the lower expert wins.
    ///
    /// - Parameter choice: numbers of the same shape, by which the best are told in place of the probabilities.
    package func routes(
        active: Int, renormalised: Bool, by choice: Tensor? = nil, factor: Float = 1
    ) -> [ExpertRoute] {
        let (rows, experts) = (shape.rows, shape.width)
        precondition(
            active >= 0 && active <= experts && choice?.shape ?? shape == shape,
            "routes: \(active) of \(experts) experts, by \(choice?.shape ?? shape)")
        let (chosen, weights) = (scratch(bytes: rows * active * 4), scratch(bytes: rows * active * 4))
        let indices = unsafe chosen.mutablePointer.assumingMemoryBound(to: UInt32.self)
        let shares = unsafe weights.mutablePointer.assumingMemoryBound(to: Float.self)
        unsafe martlet_route(choice?.floats ?? floats, rows, experts, active, renormalised, indices, shares)
        if choice != nil { unsafe weigh(indices, shares, active: active, renormalised: renormalised) }
        var routes = Array(repeating: ExpertRoute(), count: experts)
        for row in 0..<rows {
            for place in row * active..<(row + 1) * active {
                let expert = Int(unsafe indices[place])
                routes[expert].rows.append(row)
                unsafe routes[expert].weights.append(shares[place] * factor)
            }
        }
        return routes
    }

    /// Writes the weights of what was chosen by other numbers.
    private func weigh(
        _ chosen: UnsafePointer<UInt32>, _ weights: UnsafeMutablePointer<Float>, active: Int, renormalised: Bool
    ) {
        for row in 0..<shape.rows {
            var total: Float = 0
            for place in row * active..<(row + 1) * active {
                unsafe weights[place] = floats[row * shape.width + Int(chosen[place])]
                unsafe total += weights[place]
            }
            guard renormalised else { continue }
            for place in row * active..<(row + 1) * active { unsafe weights[place] /= total }
        }
    }
}
