import ArgumentParser

/// The model of a verb that computes nothing with it: named first, or with -m as other verbs name it.
struct ModelPlace: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            """
            A config.json, a Hugging Face directory, a file of weights, org/name in the hub cache, or, to plan, a preset's name.
            """, valueName: "model"))
    private var argument: String?

    @Option(
        name: [.short, .customLong("model")],
        help: ArgumentHelp("The model, in place of the argument.", valueName: "model"))
    private var m: String?

    var path: String? { argument ?? m }

    func validate() throws {
        if argument != nil, m != nil { throw ValidationError("Give the model once: first, or with -m.") }
    }
}
