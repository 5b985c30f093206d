import Martlet
import MartletAPI
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletPlatform

/// A conversation at a terminal: lines are messages or commands.
struct ChatTalk {
    private static let help = """
        /system TEXT   what the model is told first; begins anew (alone: show it)
        /clear         begin anew
        /save FILE     keep the conversation as JSON
        /load FILE     go on with one
        /stats         the last answer's numbers
        /quit          end (Ctrl-D too)
        A line that ends in \\ goes on in the next, and so does Alt-Enter. Ctrl-C stops an answer.
        """

    private let name: String
    private let options: GenerationOptions
    private let editor = LineEditor(
        completing: ["/system", "/clear", "/save", "/load", "/stats", "/help", "/quit"])
    private var last: GenerationSummary?

    init(name: String, options: GenerationOptions) { (self.name, self.options) = (name, options) }

    consuming func run(_ beginning: LanguageModelSession) async throws {
        var session = beginning
        Interruption.watch()
        defer { editor.end() }
        Output.note("\(name); /help lists the commands", isDim: true)
        while let line = message() {
            do {
                guard line.utf8.starts(with: "/".utf8) else {
                    try await answer(line, session)
                    continue
                }
                guard let next = try command(line, session) else { return }
                session = next
            } catch {
                Output.note("\(error)")
            }
        }
        Output.note("")
    }

    /// The next message, of as many lines as are joined by a backslash; nil at the end.
    private func message() -> String? {
        var lines: [String] = []
        while let line = editor.line(lines.isEmpty ? "> " : ". ") {
            editor.remember(line)
            guard line.utf8.last == UInt8(ascii: "\\") else {
                let text = (lines + [line]).joined(separator: "\n")
                if !text.utf8.isEmpty { return text }
                continue
            }
            lines.append(String(line.dropLast()))
        }
        return nil
    }

    /// Writes the answer as it comes: what the model thinks dim, what could steer the terminal spelled out.
    private mutating func answer(_ prompt: String, _ session: LanguageModelSession) async throws {
        var splitter = ThinkingSplitter(isThinking: false)
        let presses = Interruption.presses
        for try await snapshot in session.streamResponse(to: prompt, options: options) {
            show(splitter.append(snapshot.delta))
            last = snapshot.summary ?? last
            guard Interruption.presses == presses else {
                Output.note("\nstopped; this question and its answer are not kept", isDim: true)
                return
            }
        }
        show(splitter.finish())
        Output.write("\n")
    }

    /// Line ends, tabulators, and the joiners of emoji, Persian and Indic scripts.
    private static let harmless: Set<Unicode.Scalar> = ["\n", "\t", "\u{200C}", "\u{200D}"]

    private func show(_ parts: [AnswerPart]) {
        for part in parts {
            switch part {
            case .thinking(let text): Output.write(Style.dim(Output.visible(text, keeping: ChatTalk.harmless)))
            case .text(let text): Output.write(Output.visible(text, keeping: ChatTalk.harmless))
            default: break
            }
        }
    }

    /// Obeys a command. The conversation that goes on; nil when it is at its end.
    private func command(_ line: String, _ session: LanguageModelSession) throws -> LanguageModelSession? {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        let argument = parts.count > 1 ? parts[1] : ""
        switch parts[0] {
        case "/quit", "/exit", "/bye": return nil
        case "/help": Output.note(ChatTalk.help)
        case "/clear": return session.model.session(instructions: instructions(of: session))
        case "/system":
            if !argument.isEmpty { return session.model.session(instructions: argument) }
            Output.note(instructions(of: session) ?? "nothing is said first")
        case "/save":
            let document = JSON.array(session.transcript.map(ChatTalk.message))
            let file = try needed(argument, "/save")
            try writeFile(document.serialized(.pretty(indent: 2)), to: file)
            Output.note("\(ChatTalk.counted(session.transcript.count)) saved")
        case "/load":
            let transcript = try ChatTalk.transcript(needed(argument, "/load"))
            Output.note("\(ChatTalk.counted(transcript.count)) loaded")
            return LanguageModelSession(model: session.model, transcript: transcript)
        case "/stats": Output.note(statistics)
        default: Output.note("\(parts[0]) is no command; /help lists them")
        }
        return session
    }

    private static func counted(_ messages: Int) -> String { messages == 1 ? "1 message" : "\(messages) messages" }

    private func needed(_ argument: String, _ command: String) throws -> String {
        guard !argument.isEmpty else { throw UsageError("\(command) needs the name of a file") }
        return argument
    }

    private func instructions(of session: LanguageModelSession) -> String? {
        if case .instructions(let text)? = session.transcript.first { text } else { nil }
    }

    private static func message(_ entry: Transcript.Entry) -> JSON {
        switch entry {
        case .instructions(let text): ["role": "system", "content": .string(text)]
        case .prompt(let text): ["role": "user", "content": .string(text)]
        case .response(let text): ["role": "assistant", "content": .string(text)]
        case .toolOutput(let output): ["role": "tool", "content": .string(output.content)]
        case .toolCalls: ["role": "assistant", "content": ""]
        }
    }

    private static func transcript(_ file: String) throws -> Transcript {
        guard let messages = try JSON(contentsOf: file).arrayValue else {
            throw UsageError("\(file) holds no list of messages")
        }
        return Transcript(
            entries: try messages.map { message in
                let text = message["content"]?.stringValue
                switch (message["role"]?.stringValue, text) {
                case ("system"?, let text?): return .instructions(text)
                case ("user"?, let text?): return .prompt(text)
                case ("assistant"?, let text?): return .response(text)
                default: throw UsageError("\(file) holds something else than messages with role and content")
                }
            })
    }

    private var statistics: String {
        guard let last else { return "nothing is answered yet" }
        let speed = Double(max(0, last.generatedTokens - 1)) / max(last.generationSeconds, 1e-9)
        return "\(last.promptTokens) tokens read (\(last.rememberedTokens) remembered) in "
            + "\(ChatTalk.short(last.promptSeconds)) s, \(last.generatedTokens) written at \(ChatTalk.short(speed)) a second"
    }

    private static func short(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}

/// The style of words at a terminal, by which they stand out unless `NO_COLOR` is set.
enum Style {
    static func dim(_ text: String) -> String {
        unsafe getenv("NO_COLOR") == nil && !text.isEmpty ? "\u{1B}[2m\(text)\u{1B}[0m" : text
    }
}
