import Martlet
import MartletGeneration
import MartletJSON
import MartletTokenizers

/// The delta of one choice in one step: parts of the answer, and the tokens that they consist of.
struct AnswerDelta: Sendable {
    var parts: [AnswerPart] = []
    /// The tokens whose text went out with this, for log-probabilities.
    var tokens: [SampledToken] = []
}

/// The assembly of one choice of an answer, from tokens to parts: whole characters, ended by stop texts, thinking and
/// calls told apart.
struct AnswerAssembly {
    /// The structure that is looked for in an answer.
    struct Structure: Sendable {
        var tools: ToolFormat?
        var thinks = false
        /// True where the prompt ends within the part for thinking.
        var isThinking = false
        /// The text that completes the answer when its constraint lets nothing follow.
        var end = ""
        /// The text of the answer that the prompt has written already: the beginning of a call that was asked for.
        var written = ""
        /// The tokens that the answer goes on with, as one text; none where it is a text of its own.
        var continued: [Int32] = []
        /// True where the answer ends with its first call.
        var callsOnce = false
    }

    private let tokenizer: Tokenizer
    private var stream: ContinuedText
    private var stops: StopTexts
    private var splitter: ThinkingSplitter?
    private var parser: CallParser?
    /// The mark of a call where it is a special token, which is not part of the text.
    private let callMark: Int32?
    private let completion: String
    private let callsOnce: Bool
    private var pending: [SampledToken] = []
    /// Tokens of which it is not known yet whether they are thinking.
    private var undecidedTokens = 0
    private(set) var generatedTokens = 0
    /// The number of generated tokens that were thinking.
    private(set) var thinkingTokens = 0
    private(set) var finish: AnswerFinish?
    /// The stop text that ended the answer.
    var stopText: String? { stops.match }
    /// The text that was written, as far as it is certain.
    private(set) var text = ""

    init(_ tokenizer: Tokenizer, stopTexts: [String], _ structure: Structure) {
        self.tokenizer = tokenizer
        stream = ContinuedText(tokenizer, after: structure.continued)
        stops = StopTexts(stopTexts)
        splitter = structure.thinks ? ThinkingSplitter(isThinking: structure.isThinking) : nil
        parser = structure.tools.map { CallParser($0) }
        (completion, callsOnce) = (structure.end, structure.callsOnce)
        let mark = structure.tools == .llama ? "<|python_tag|>" : structure.tools?.opening
        callMark = mark.flatMap { tokenizer.id(ofToken: $0) }.flatMap { tokenizer.isSpecial($0) ? $0 : nil }
        if !structure.written.isEmpty { beginning = parser?.append(structure.written) ?? [] }
    }

    /// The parts before the first token: the beginning of a call that was asked for.
    private(set) var beginning: [AnswerPart] = []

    /// Adds a token; its text may go out with a later one.
    mutating func append(_ token: SampledToken) throws -> AnswerDelta {
        generatedTokens += 1
        pending.append(token)
        var piece = try stream.append(token.token)
        if token.token == callMark { piece += tokenizer.token(token.token) ?? "" }
        let new = stops.append(piece)
        text += new
        var delta = AnswerDelta(parts: parts(new))
        undecidedTokens += 1
        decide(delta.parts)
        if stops.found {
            delta.parts += rest()
            end(.stop)
        } else if hasOnlyCall {
            end(.stop)
        }
        // What is held back until it shows whether it is a call goes out with what it turns out to be.
        if !delta.parts.isEmpty || finish != nil {
            delta.tokens = pending
            pending = []
        }
        return delta
    }

    /// The end of the answer.
    mutating func finish(_ reason: FinishReason) -> AnswerDelta {
        guard finish == nil else { return AnswerDelta() }
        let last = stops.append(stream.finish()) + stops.finish()
        text += last
        var delta = AnswerDelta(parts: parts(last), tokens: pending)
        if reason == .stop { delta.parts += parts(completion) }
        delta.parts += rest()
        decide(delta.parts)
        end(reason)
        return delta
    }

    /// Counts the tokens that were undecided as what their text has turned out to be.
    private mutating func decide(_ parts: [AnswerPart]) {
        guard let first = parts.first else { return }
        if case .thinking = first { thinkingTokens += undecidedTokens }
        undecidedTokens = 0
    }

    /// True where the one call that is wanted is complete.
    private var hasOnlyCall: Bool { callsOnce && (parser?.completed ?? 0) > 0 }

    /// Tells of calls just when one is complete and the answer ended by itself.
    private mutating func end(_ reason: FinishReason) {
        switch reason {
        case .stop: finish = (parser?.completed ?? 0) > 0 ? .toolCalls : .stop
        case .length: finish = .length
        }
    }

    private mutating func parts(_ text: String) -> [AnswerPart] {
        guard !text.isEmpty else { return [] }
        return called(splitter?.append(text) ?? [.text(text)])
    }

    private mutating func rest() -> [AnswerPart] {
        called(splitter?.finish() ?? []) + (hasOnlyCall ? [] : parser?.finish() ?? [])
    }

    /// Calls are looked for in the answer, not in what was thought.
    private mutating func called(_ parts: [AnswerPart]) -> [AnswerPart] {
        guard parser != nil else { return parts }
        if hasOnlyCall { return [] }
        var result: [AnswerPart] = []
        for part in parts {
            if case .text(let text) = part { result += parser?.append(text) ?? [] } else { result.append(part) }
        }
        result = CallParser.joined(result)
        guard hasOnlyCall, let end = result.firstIndex(of: .callEnd(index: 0)) else { return result }
        return Array(result[...end])
    }
}
