import CMartletKernels
import MartletPlatform
import MartletTensors
import Testing

extension KernelTests {
    /// The choice of a token, and of experts.
    @Suite struct Choices {
        static let counts = [1, 15, 16, 17, 31, 33, 100, 1_023, 1_025, 5_003]
        static let rules = cutoffs + others
        private static let others: [martlet_sampling] = [
            (0, 0, 1, 0, 1), (1, 0, 1, 0, 1), (0.8, 40, 0.95, 0, 1), (0.8, 0, 0.95, 0, 1), (2, 0, 0.9, 0, 1),
            (1, 0, 1, 0.05, 1),
            (1, 300, 1, 0, 1), (0.5, 300, 0.5, 0.01, 1), (1, 0, 1, 0, 0.6), (1.5, 20, 0.9, 0.1, 0.5),
            (9, 0, 0.999, 0, 1),
            (1e-30, 0, 1, 0, 1), (1, 0, 0, 0, 1), (1, 0, 1, 1, 1),
        ].map {
            martlet_sampling(
                temperature: $0.0, top_k: $0.1, top_p: $0.2, min_p: $0.3, typical_p: $0.4, epsilon: 0, eta: 0)
        }

        /// An epsilon and an eta, alone and after others; the last leave the most probable token alone.
        static let cutoffs: [martlet_sampling] = [
            (1, 0, 1, 0.01, 0), (0.7, 50, 0.9, 0, 0.004), (1, 300, 1, 0.001, 0.002), (1.3, 0, 0.6, 0.02, 0.1),
            (1, 0, 1, 0.999, 0), (2, 0, 1, 0, 0.999),
        ].map {
            martlet_sampling(
                temperature: $0.0, top_k: $0.1, top_p: 1, min_p: 0, typical_p: $0.2, epsilon: $0.3, eta: $0.4)
        }

        /// Logits with ties, with what is no number, with some that may not come and some that are changed.
        struct Row {
            var logits: [Float]
            var allowed: [UInt32]?
            var changes: [martlet_logit_change] = []

            init(_ count: Int, seed: UInt64) {
                var random = TestRandom(seed)
                logits = random.floats(count, -6...6).map { ($0 * 50).rounded() / 50 }
                for index in stride(from: 5, to: count, by: 97) { logits[index] = index % 2 == 0 ? .nan : -.infinity }
                if seed % 3 > 0 {
                    allowed = (0...count / 32).map { _ in UInt32.random(in: 0...(.max), using: &random) }
                }
                if seed % 2 > 0 {
                    for token in stride(from: 0, to: count, by: 13) {
                        let (bias, penalty) = (Float.random(in: -1...1, using: &random), Float(token % 3 + 1))
                        changes.append(.init(token: UInt32(token), bias: bias, penalty: penalty, subtracted: 0.25))
                    }
                }
            }

            /// The logits that count; nil for tokens that may not come.
            var seen: [Float?] {
                var logits = logits
                for change in changes {
                    let z = logits[Int(change.token)] + change.bias
                    logits[Int(change.token)] = (z > 0 ? z / change.penalty : z * change.penalty) - change.subtracted
                }
                return logits.indices.map { token in
                    let may = allowed.map { $0[token / 32] >> UInt32(token % 32) & 1 == 1 } ?? true
                    return may && logits[token] > -.infinity ? logits[token] : nil
                }
            }

            func withKernelRow<Result>(_ body: (UnsafePointer<martlet_logits>) -> Result) -> Result {
                unsafe logits.withUnsafeBufferPointer { logits in
                    unsafe changes.withUnsafeBufferPointer { changes in
                        func call(_ words: UnsafePointer<UInt32>?) -> Result {
                            var row = unsafe martlet_logits(
                                logits: logits.baseAddress, count: logits.count, allowed: words,
                                changes: changes.baseAddress,
                                change_count: changes.count)
                            return unsafe body(&row)
                        }
                        guard let allowed else { return call(nil) }
                        return unsafe allowed.withUnsafeBufferPointer { unsafe call($0.baseAddress) }
                    }
                }
            }

            /// Token, weight, token, weight, …
            func candidates(_ rules: martlet_sampling) -> [Float] {
                var rules = rules
                let room = unsafe martlet_candidate_room(logits.count, &rules)
                var candidates = [martlet_candidate](repeating: .init(), count: room)
                var scratch = [UInt64](repeating: 0, count: room * 2)
                let count = unsafe withKernelRow { unsafe martlet_candidates($0, &rules, &candidates, &scratch) }
                return candidates.prefix(count).flatMap { [Float($0.token), $0.weight] }
            }

            func choice(_ rules: martlet_sampling, _ uniform: Double) -> Int {
                var rules = rules
                var scratch = [UInt64](repeating: 0, count: unsafe martlet_candidate_room(logits.count, &rules) * 4)
                return unsafe withKernelRow { unsafe martlet_choose($0, &rules, uniform, &scratch) }
            }
        }

        @Test(arguments: counts) func agreeWithTheDefinition(_ count: Int) {
            for seed in UInt64(0)..<6 {
                let row = Row(count, seed: seed)
                for rules in Self.rules {
                    let chosen = sameAtEachLevel("choice") {
                        [0, 0.25, 0.5, 0.999_999_999].map { Float(row.choice(rules, $0)) }
                    }
                    let expected = Reference(row.seen, rules)
                    for token in chosen.map({ Int($0) }) {
                        #expect(expected.kept.isEmpty ? token == count : expected.kept.contains(token))
                    }
                    if rules.temperature == 0 { continue }
                    let candidates = sameAtEachLevel("candidates") { row.candidates(rules) }
                    let tokens = stride(from: 0, to: candidates.count, by: 2).map { Int(candidates[$0]) }
                    #expect(Set(tokens) == Set(expected.kept), "\(count) \(seed) \(rules)")
                    for (place, token) in tokens.enumerated() {
                        #expect(abs(Double(candidates[2 * place + 1]) - expected.weights[token]) < 2e-6)
                    }
                }
            }
        }

        /// The draw is the inverse of the cumulated probabilities, in the order of candidates.
        @Test func drawsInvertTheCumulatedWeights() {
            let row = Row(3_001, seed: 0)
            for rules in Self.rules where rules.temperature > 0 {
                let candidates = row.candidates(rules)
                let weights = stride(from: 1, to: candidates.count, by: 2).map { Double(candidates[$0]) }
                let total = weights.reduce(0, +)
                var sum = 0.0
                for (place, weight) in weights.enumerated() {
                    defer { sum += weight }
                    guard place % 37 == 0, weight > total * 1e-4 else { continue }
                    let token = row.choice(rules, (sum + weight / 2) / total)
                    #expect(token == Int(candidates[2 * place]), "\(rules) place \(place)")
                }
            }
        }

        @Test(arguments: [(1, 1), (8, 2), (60, 4), (128, 8), (17, 17)]) func routes(_ experts: Int, _ active: Int) {
            var random = TestRandom(UInt64(experts))
            var scores = random.floats(5 * experts, 0...1).map { ($0 * 16).rounded() / 16 }
            if experts > 4 { scores[3] = .nan }
            for renormalised in [false, true] {
                let results = sameAtEachLevel("route") {
                    var chosen = [UInt32](repeating: 0, count: 5 * active)
                    var weights = [Float](repeating: 0, count: 5 * active)
                    unsafe martlet_route(scores, 5, experts, active, renormalised, &chosen, &weights)
                    return chosen.map { Float($0) } + weights
                }
                for row in 1..<5 {
                    let own = Array(scores[row * experts..<(row + 1) * experts])
                    let best = own.indices.sorted { own[$0] == own[$1] ? $0 < $1 : own[$0] > own[$1] }.prefix(active)
                    let total = renormalised ? best.reduce(0) { $0 + own[$1] } : 1
                    #expect(results[row * active..<(row + 1) * active].map { Int($0) } == Array(best))
                    let weights = results[(5 + row) * active..<(6 + row) * active]
                    #expect(Array(weights) == best.map { own[$0] / total })
                }
            }
        }
    }
}

/// The candidates by the definition: sorting everything, in double precision.
private struct Reference {
    var kept: [Int] = []
    var weights: [Double]

    init(_ seen: [Float?], _ rules: martlet_sampling) {
        let largest = seen.compactMap { $0 }.max() ?? 0
        weights = Array(repeating: 0, count: seen.count)
        kept = seen.indices.filter { seen[$0] != nil }.sorted { (seen[$0] ?? 0, -$0) > (seen[$1] ?? 0, -$1) }
        guard rules.temperature > 0 else {
            kept = Array(kept.prefix(1))
            return
        }
        for token in kept {
            // The kernel scales in f32.
            weights[token] = exp(Double((seen[token] ?? 0) - largest) * Double(1 / rules.temperature))
        }
        if rules.top_k > 0 { kept = Array(kept.prefix(rules.top_k)) }
        if rules.top_k == 0 || rules.top_k > 256 { kept.removeAll { weights[$0] < 4.5e-38 } }
        if rules.top_p < 1 { keepShare(rules.top_p) }
        if rules.min_p > 0 { kept.removeAll { weights[$0] < Double(rules.min_p) } }
        if rules.typical_p < 1 { keepTypical(rules.typical_p) }
        if rules.epsilon > 0 { keep(atLeast: Double(rules.epsilon)) }
        guard rules.eta > 0 else { return }
        let total = kept.reduce(0) { $0 + weights[$1] }
        let entropy = kept.reduce(0) { $0 - (weights[$1] > 0 ? weights[$1] / total * log(weights[$1] / total) : 0) }
        keep(atLeast: min(Double(rules.eta), Double(rules.eta).squareRoot() * exp(-entropy)))
    }

    private mutating func keep(atLeast probability: Double) {
        let total = kept.reduce(0) { $0 + weights[$1] }
        let largest = kept.reduce(0) { max($0, weights[$1]) }
        kept.removeAll { weights[$0] < probability * total && weights[$0] < largest }
    }

    private mutating func keepTypical(_ share: Float) {
        let total = kept.reduce(0) { $0 + weights[$1] }
        let mean = kept.reduce(0) { $0 + (weights[$1] > 0 ? weights[$1] * log(weights[$1]) : 0) } / total
        // Ranks are f32 in the kernel, so that equals are equal.
        kept.sort {
            let (a, b) = (Float(abs(log(weights[$0]) - mean)), Float(abs(log(weights[$1]) - mean)))
            return (a, $0) < (b, $1)
        }
        keepShare(share)
    }

    private mutating func keepShare(_ share: Float) {
        let target = Double(share) * kept.reduce(0) { $0 + weights[$1] }
        var sum = 0.0
        let end = kept.firstIndex { token in
            sum += weights[token]
            return sum >= target
        }
        if let end { kept.removeLast(kept.count - end - 1) }
    }
}
