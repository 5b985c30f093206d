import MartletLayers
import MartletTensors
import MartletTraining

/// Learns which token follows which, by SGD with momentum on a table of logits `[vocabulary, vocabulary]`. Enough of a
/// model to test runs with: it has weights and optimizer state, and draws at random in every pass.
final class ToyLearner: Learner {
    private let vocabulary: Int
    private var table: [Float]
    private var velocity: [Float]
    private var gradients: [Float]
    /// The update at which a weight becomes NaN; nil: never.
    var breaksAt: Int?
    private(set) var updates = 0

    init(vocabulary: Int) {
        self.vocabulary = vocabulary
        table = Random(seed: 1).normals(vocabulary * vocabulary, deviation: 0.1)
        velocity = Array(repeating: 0, count: table.count)
        gradients = velocity
    }

    var parameterCount: Int { table.count }
    var weights: [CheckpointArray] { [CheckpointArray("table", Tensor(table, shape: [vocabulary, vocabulary]))] }
    var optimizerState: [CheckpointArray] {
        [CheckpointArray("table.velocity", Tensor(velocity, shape: [vocabulary, vocabulary]))]
    }

    func restore(weights: [String: Tensor], optimizerState: [String: Tensor], updates: Int) throws {
        table = weights["table"]?.values ?? table
        velocity = optimizerState["table.velocity"]?.values ?? velocity
        self.updates = updates
    }

    private func pass(_ batch: Batch, drop: Random?) -> Double {
        var (total, random) = (0.0, drop)
        for (row, target) in batch.targets.enumerated() where target != Example.ignored {
            if (random?.uniform() ?? 1) < 0.1 { continue }
            let first = Int(batch.rows.tokens[row]) * vocabulary
            let logits = table[first..<first + vocabulary]
            let largest = logits.reduce(-Float.infinity) { max($0, $1) }
            let exponentials = logits.map { Double($0 - largest).exponential }
            let sum = exponentials.reduce(0, +)
            total -= (exponentials[Int(target)] / sum).logarithm
            guard drop != nil else { continue }
            for index in 0..<vocabulary { gradients[first + index] += Float(exponentials[index] / sum) }
            gradients[first + Int(target)] -= 1
        }
        return total
    }

    func accumulate(_ batch: Batch, seed: UInt64) -> Double {
        let loss = pass(batch, drop: Random(seed: seed))
        if updates == breaksAt { gradients[0] = .nan }
        return loss
    }

    func endShard() {}

    func sumShards() {}

    func gradientNorm(scale: Float) -> Double {
        gradients.reduce(0.0) { $0 + Double($1 * scale) * Double($1 * scale) }.squareRoot()
    }

    func firstNonFinite() -> String? {
        gradients.contains { !$0.isFinite } ? "the gradient of table" : table.contains { !$0.isFinite } ? "table" : nil
    }

    func update(learningRate: Float, scale: Float) {
        for index in table.indices {
            velocity[index] = 0.9 * velocity[index] + gradients[index] * scale
            table[index] -= learningRate * velocity[index]
        }
        updates += 1
        forgetGradients()
    }

    func forgetGradients() { gradients = Array(repeating: 0, count: table.count) }
    func loss(of batch: Batch) -> Double { pass(batch, drop: nil) }
}
