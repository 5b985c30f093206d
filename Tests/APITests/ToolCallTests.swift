import Martlet
import MartletAPI
import Testing

/// Calls of functions in answers that come in pieces of every length.
@Suite struct ToolCallTests {
    /// The parts of a text that comes `size` bytes at a time, neighbours joined.
    private func parts(_ text: String, _ format: ToolFormat, size: Int) -> [AnswerPart] {
        var parser = CallParser(format)
        var parts: [AnswerPart] = []
        let scalars = Array(text.unicodeScalars)
        for start in stride(from: 0, to: scalars.count, by: size) {
            var piece = String.UnicodeScalarView()
            piece.append(contentsOf: scalars[start..<min(start + size, scalars.count)])
            parts += parser.append(String(piece))
        }
        return CallParser.joined(parts + parser.finish())
    }

    @Test(arguments: 1...9) func hermesCallsAreFoundInAnyPieces(size: Int) {
        let text = """
            Let me look.
            <tool_call>
            {"name": "weather", "arguments": {"city": "Zürich \\"}{", "days": [1, 2]}}
            </tool_call>
            <tool_call>
            {"arguments": {}, "name": "time"}
            </tool_call>
            """
        #expect(
            parts(text, .hermes, size: size) == [
                .text("Let me look.\n"), .call(index: 0, name: "weather"),
                .arguments(index: 0, #"{"city": "Zürich \"}{", "days": [1, 2]}"#), .callEnd(index: 0),
                .call(index: 1, name: "time"), .arguments(index: 1, "{}"), .callEnd(index: 1),
            ])
    }

    @Test(arguments: [1, 3, 100]) func mistralCallsAreElementsOfAList(size: Int) {
        let text = #"[TOOL_CALLS][{"name": "a", "arguments": {"x": [1]}}, {"name": "b", "arguments": {}}]"#
        #expect(
            parts(text, .mistral, size: size) == [
                .call(index: 0, name: "a"), .arguments(index: 0, #"{"x": [1]}"#), .callEnd(index: 0),
                .call(index: 1, name: "b"), .arguments(index: 1, "{}"), .callEnd(index: 1),
            ])
    }

    @Test(arguments: [1, 4, 100]) func llamaCallsAreTheWholeAnswer(size: Int) {
        #expect(
            parts(#"<|python_tag|>{"name": "f", "parameters": {"q": "s"}}"#, .llama, size: size) == [
                .call(index: 0, name: "f"), .arguments(index: 0, #"{"q": "s"}"#), .callEnd(index: 0),
            ])
        #expect(parts("Plain {text}", .llama, size: size) == [.text("Plain {text}")])
        #expect(parts(#"{"answer": 3}"#, .llama, size: size) == [.text(#"{"answer": 3}"#)])
    }

    @Test func whatOnlyBeginsLikeACallIsText() {
        #expect(parts("a <tool_box> b <tool_cal", .hermes, size: 2) == [.text("a <tool_box> b <tool_cal")])
    }

    @Test func aCallThatIsCutOffKeepsWhatCame() {
        var parser = CallParser(.hermes)
        let parts = parser.append(#"<tool_call>{"name": "f", "arguments": {"a": "#)
        #expect(parts == [.call(index: 0, name: "f"), .arguments(index: 0, #"{"a": "#)])
        #expect(parser.finish() == [] && parser.completed == 0)
    }

    @Test(arguments: 1...8) func thinkingIsKeptApart(size: Int) {
        var splitter = ThinkingSplitter(isThinking: false)
        var parts: [AnswerPart] = []
        for piece in Array("\n<think>hm < 3</think>\n\nYes <think>").chunked(size) { parts += splitter.append(piece) }
        #expect(CallParser.joined(parts + splitter.finish()) == [.thinking("hm < 3"), .text("Yes <think>")])
        var open = ThinkingSplitter(isThinking: true)
        #expect(open.append("so") + open.append("</think>a") == [.thinking("so"), .text("a")])
    }
}

extension [Character] {
    fileprivate func chunked(_ size: Int) -> [String] {
        stride(from: 0, to: count, by: size).map { String(self[$0..<Swift.min($0 + size, count)]) }
    }
}
