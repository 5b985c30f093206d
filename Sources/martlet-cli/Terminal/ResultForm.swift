import ArgumentParser
import MartletJSON

/// How a verb with one result writes it for machines.
struct ResultForm: ParsableArguments {
    @Flag(help: "One JSON document.")
    var json = false

    @Flag(help: "One JSON object a line.")
    var jsonLines = false

    var isJSON: Bool { json || jsonLines }

    func write(_ result: JSON) {
        if jsonLines { Output.write(result.text(.compact) + "\n") } else { Output.document(result) }
    }

    func validate() throws {
        if json && jsonLines { throw ValidationError("--json and --json-lines are two forms: give one of them.") }
    }
}
