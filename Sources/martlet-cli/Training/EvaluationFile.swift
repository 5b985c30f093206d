import ArgumentParser

/// The file that a model is evaluated on, and what it calls its fields: the same words for `evaluate` and `compare`.
struct EvaluationFile: ParsableArguments {
    @Option(help: "The file of references.")
    var data: String

    @Option(help: "The field of the text.")
    var text = "text"

    @Option(help: "The field of the second text.")
    var pair = "pair"

    @Option(help: "The field of the label, or of the score.")
    var label: String?

    /// The words of a command line that says so.
    var words: [String] {
        ["--data", data, "--text", text, "--pair", pair] + (label.map { ["--label", $0] } ?? [])
    }
}
