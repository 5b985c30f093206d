import Martlet
import MartletGeneration
import MartletTemplates
import Testing

/// Conversations that templates refuse as they are.
@Suite struct StricterTemplatesTests {
    private func text(_ template: String, _ entries: [Transcript.Entry]) throws -> String {
        try ChatFormat(ChatTemplate(template)).text(Transcript(entries: entries))
    }

    /// As Gemma 2's: a user speaks first, and roles alternate.
    @Test func instructionsBeginWhatTheUserSays() throws {
        let template = """
            {% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
            {{ raise_exception('roles must alternate') }}{% endif %}({{ m.role }}){{ m.content }}{% endfor %}
            """
        #expect(try text(template, [.instructions("s"), .prompt("a"), .response("b")]) == "(user)s\n\na(assistant)b")
        #expect(try text(template, [.prompt("a"), .prompt("b")]) == "(user)a\n\nb")
        #expect(throws: GenerationError.self) { try text(template, [.response("a")]) }
    }

    /// Conversations that a template takes are rendered as they are.
    @Test func instructionsStayWhereTheyAreTaken() throws {
        let template = "{% for m in messages %}({{ m.role }}){{ m.content }}{% endfor %}"
        #expect(try text(template, [.instructions("s"), .prompt("a"), .prompt("b")]) == "(system)s(user)a(user)b")
    }
}
