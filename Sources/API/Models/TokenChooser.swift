import MartletGeneration
import MartletTensors

/// Chooses the tokens of one generation: by its settings and its constraint, with log-probabilities where they are asked for.
struct TokenChooser {
    private let alternatives: Int?
    private var sampler: Sampler
    private var constraint: (any TokenConstraint)?
    /// Why no token can come.
    private(set) var failure: (any Error)?

    init(_ request: TokenRequest) {
        (alternatives, constraint) = (request.alternatives, request.constraint)
        sampler = Sampler(request.sampling, prompt: request.prompt)
    }

    /// Whether the constraint lets nothing follow.
    var isFinished: Bool { constraint?.isFinished ?? false }

    /// The token at `position` of the sequence, from logits `[vocabulary]`.
    mutating func next(_ logits: Tensor, position: Int) -> SampledToken {
        var mask: TokenMask?
        do {
            mask = try constraint?.allowed()
        } catch {
            failure = error
        }
        let row = SamplingRow(sampler, position: position, mask: mask, scored: alternatives)
        let token = row.next(logits.reshaped([1, logits.shape.elements]), row: 0)
        sampler.append(token.token)
        constraint?.append(token.token)
        return token
    }

    /// ln Σ exp(x).
    static func logSumExp(_ values: [Float]) -> Float {
        let summary = Tensor(values, shape: [1, values.count]).summary(row: 0, largest: 0)
        return -summary.logProbability(of: 0)
    }

    /// The indices of the `count` largest values, best first.
    static func largest(_ values: [Float], _ count: Int) -> [Int] {
        Tensor(values, shape: [1, values.count]).summary(row: 0, largest: count).largest.map(\.index)
    }
}
