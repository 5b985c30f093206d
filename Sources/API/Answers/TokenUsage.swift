import MartletJSON

/// The token counts of an answer, as OpenAI writes them.
enum TokenUsage {
    /// - Parameter thinking: The number of generated tokens that were thinking.
    static func json(prompt: Int, cached: Int, generated: Int, thinking: Int = 0, guesses: GuessCounts) -> JSON {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(generated),
            "total_tokens": .integer(prompt + generated), "prompt_tokens_details": ["cached_tokens": .integer(cached)],
            "completion_tokens_details": [
                "reasoning_tokens": .integer(thinking),
                "accepted_prediction_tokens": .integer(guesses.accepted),
                "rejected_prediction_tokens": .integer(guesses.guessed - guesses.accepted),
            ],
        ]
    }
}
