import MartletJSON
import MartletTemplates
import Testing

/// Real chat templates over six conversations each, rendered by Jinja2 with transformers' settings.
@Suite(.enabled(if: RealData.isPresent, "needs the real data"))
struct TemplateGoldenTests {
    /// The goldens' clock stands at 2024-07-26 12:00:00.
    private func now(_ format: String) -> String {
        var text = format
        for (mark, value) in [
            ("%Y", "2024"), ("%m", "07"), ("%d", "26"), ("%b", "Jul"), ("%B", "July"), ("%H", "12"), ("%M", "00"),
            ("%S", "00"), ("%A", "Friday"), ("%a", "Fri"),
        ] { text = text.replacing(mark, with: value) }
        return text
    }

    @Test func allRendersAreEqual() throws {
        let goldens = try RealData.json("goldens/chat-template-renders.json")
        let variables = try #require(goldens["variables"]?.objectValue)
        let contexts = try #require(goldens["contexts"]?.objectValue)
        let renders = try #require(goldens["renders"]?.objectValue)
        #expect(renders.count == 35)
        for (name, cases) in renders.members {
            let template = try ChatTemplate(RealData.text("templates/" + name))
            for (context, expected) in try #require(cases.objectValue).members {
                var names = try #require(contexts[context]?.objectValue)
                for (key, value) in variables.members { names[key] = value }
                if let output = expected["output"]?.stringValue {
                    let text = try template.render(names, now: now)
                    #expect(text.utf8.elementsEqual(output.utf8), "\(name), \(context)")
                } else {
                    let error = #expect(throws: TemplateError.self, "\(name), \(context)") {
                        try template.render(names, now: now)
                    }
                    #expect(error?.description == expected["error"]?.stringValue, "\(name), \(context)")
                }
            }
        }
    }
}
