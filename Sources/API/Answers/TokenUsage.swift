import MartletJSON

/// The token counts of an answer, as OpenAI writes them.
enum TokenUsage {
    static func json(prompt: Int, cached: Int, generated: Int, guesses: GuessCounts) -> JSON {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(generated),
            "total_tokens": .integer(prompt + generated), "prompt_tokens_details": ["cached_tokens": .integer(cached)],
            "completion_tokens_details": [
                "accepted_prediction_tokens": .integer(guesses.accepted),
                "rejected_prediction_tokens": .integer(guesses.guessed - guesses.accepted),
            ],
        ]
    }
}
