import ArgumentParser
import MartletJSON

/// The form in which a verb with one result writes it for machines.
struct ResultForm: ParsableArguments {
    @Flag(help: "One JSON document.")
    var json = false

    @Flag(help: "One JSON object a line.")
    var jsonLines = false

    var isJSON: Bool { json || jsonLines }

    func write(_ result: JSON) {
        if jsonLines { Output.write(result.text(.compact) + "\n") } else { Output.document(result) }
    }

    /// Writes results that are objects of their own: one document of all, or a line of each.
    func write(each results: [JSON]) {
        if jsonLines {
            for result in results { Output.write(result.text(.compact) + "\n") }
        } else {
            Output.document(.array(results))
        }
    }

    func validate() throws { try ResultForm.check(json: json, jsonLines: jsonLines) }

    /// - Throws: `ValidationError` for both forms at once.
    static func check(json: Bool, jsonLines: Bool) throws {
        if json && jsonLines { throw ValidationError("--json and --json-lines are two forms: give one of them.") }
    }
}
