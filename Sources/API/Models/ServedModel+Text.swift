import Martlet
import MartletGeneration
import MartletJSON
import MartletTokenizers

extension ServedModel {
    /// The language model and engine that continue texts with this model.
    ///
    /// - Throws: ``APIError`` that says what the model does instead.
    func text() throws(APIError) -> (model: LanguageModel, engine: any TextEngine) {
        if case .text(let model, let engine) = work { return (model, engine) }
        throw wrongTask("continue texts")
    }

    /// The error of a task that this model does not do.
    func wrongTask(_ asked: String) -> APIError {
        .invalid(
            "The model \(name.quoted) does not \(asked); it can \(ModelRoutes.tasks(self).joined(separator: ", ")).",
            "model", code: "model_not_suited")
    }

    /// The rules of generation_config.json behind a prompt of `count` tokens, as far as the request lets them hold.
    func rules(after count: Int, _ fields: GenerationFields) -> TokenRules {
        var rules = defaults.rules
        rules.minimumNewTokens = fields.ignoresEnd ? 0 : defaults.minimumNewTokens(after: count)
        if fields.hasOwnRepeatPenalty { rules.repetitionPenalty = 1 }
        return rules
    }

    func neededTokenizer() throws(APIError) -> Tokenizer {
        guard let tokenizer else { throw wrongTask("have a tokenizer") }
        return tokenizer
    }

    /// Refuses a prompt that leaves no room for an answer, or has no token.
    func check(prompt: [Int32], _ parameter: String) throws(APIError) {
        guard !prompt.isEmpty else { throw .invalid("The prompt has no tokens.", parameter) }
        if let context, prompt.count >= context {
            throw .contextExceeded(prompt: prompt.count, context: context, parameter)
        }
        if case .text(_, let engine) = work, prompt.count >= engine.longestText {
            throw .memoryExceeded(prompt: prompt.count, longest: engine.longestText, parameter)
        }
        if let wrong = prompt.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
            throw .invalid(
                "Token \(wrong) is not in the vocabulary of \(vocabularySize).", parameter, code: "invalid_value")
        }
    }
}
