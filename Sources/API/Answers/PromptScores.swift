import Martlet
import MartletGeneration
import MartletLayers
import MartletTensors

extension ServedModel {
    /// The tokens of a prompt, each with its probability after those before it; without one for the first.
    ///
    /// - Parameter alternatives: How many of the most probable tokens are told beside each.
    /// - Throws: ``APIError`` for a model that does not continue texts.
    func scores(ofPrompt tokens: [Int32], alternatives: Int) async throws -> [SampledToken] {
        let model = try text().model
        return try await engine.run { PromptScores.scores(tokens, alternatives, model) }
    }
}

/// The log-probabilities of a prompt's tokens, each given those before it.
private enum PromptScores {
    /// Rows whose logits are there at once.
    private static let rowsAtOnce = 128

    static func scores(_ tokens: [Int32], _ alternatives: Int, _ model: LanguageModel) -> [SampledToken] {
        var result = tokens.prefix(1).map { SampledToken(token: $0) }
        let count = tokens.count - 1
        guard count > 0 else { return result }
        var state = Uncached()
        let hidden = model.decoder.hidden(Rows(Array(tokens.dropLast())), &state, on: model.device)
        for start in stride(from: 0, to: count, by: rowsAtOnce) {
            let logits = model.decoder.logits(hidden.rows(start..<min(start + rowsAtOnce, count)))
            for (row, summary) in logits.rowSummaries(largest: alternatives).enumerated() {
                let token = tokens[start + row + 1]
                result.append(
                    SampledToken(
                        token: token,
                        logProbability: summary.logProbability(of: logits.element(row: row, column: Int(token))),
                        mostProbable: summary.largest.map {
                            .init(token: Int32($0.index), logProbability: summary.logProbability(of: $0.value))
                        }))
            }
        }
        return result
    }
}
