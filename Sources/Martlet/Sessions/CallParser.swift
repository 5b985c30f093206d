import MartletJSON

/// A part of an answer, as it is written.
package enum AnswerPart: Sendable, Equatable {
    case text(String)
    case thinking(String)
    /// A call began; its name is known.
    case call(index: Int, name: String)
    /// A further part of the JSON text of a call's arguments, as the model wrote it.
    case arguments(index: Int, String)
    case callEnd(index: Int)
}

/// A parser that finds calls of functions in an answer that comes in pieces. Only structure is parsed: the bytes of
/// arguments are passed on as they are.
///
/// Text that could still become a call is held back until it is decided; a call that turns out not to be one is text.
package struct CallParser {
    private enum Stage: Equatable {
        /// The stage in text; `held` may begin the mark of a call.
        case text
        /// The stage behind the mark, before or between calls.
        case between
        /// The stage inside the object of a call.
        case call
    }

    private let format: ToolFormat
    private var stage = Stage.text
    private var held: [UInt8] = []
    private var scanner = CallScanner()
    private var isAtStart = true
    /// The number of calls that are complete.
    package private(set) var completed = 0
    private var began = 0

    package init(_ format: ToolFormat) { self.format = format }

    package mutating func append(_ text: String) -> [AnswerPart] {
        held += Array(text.utf8)
        var parts: [AnswerPart] = []
        while step(&parts) {}
        return CallParser.joined(parts)
    }

    /// Returns the parts that are left at the end of the answer.
    package mutating func finish() -> [AnswerPart] {
        defer { held = [] }
        switch stage {
        case .text:
            return held.isEmpty || isBlankBetweenCalls(held[...]) ? [] : [.text(String(decoding: held, as: UTF8.self))]
        case .between: return []
        case .call:
            // A call that was cut off has been passed on as far as it came; one without a name was none.
            guard !scanner.hasName else { return [] }
            return [.text(String(decoding: scanner.bytes, as: UTF8.self))]
        }
    }

    /// Goes on as far as one thing; false when more text is needed.
    private mutating func step(_ parts: inout [AnswerPart]) -> Bool {
        switch stage {
        case .text: stepText(&parts)
        case .between: stepBetween()
        case .call: stepCall(&parts)
        }
    }

    private mutating func stepText(_ parts: inout [AnswerPart]) -> Bool {
        if format == .llama { return stepWholeAnswer(&parts) }
        let mark = Array((format.opening ?? "").utf8)
        if let start = CallParser.first(mark, in: held) {
            if !isBlankBetweenCalls(held[..<start]) { emit(Array(held[..<start]), &parts) }
            held.removeFirst(start + mark.count)
            stage = .between
            return true
        }
        let kept = CallParser.overlap(held, mark)
        guard !isBlankBetweenCalls(held.dropLast(kept)) else { return false }
        emit(Array(held.dropLast(kept)), &parts)
        held.removeFirst(held.count - kept)
        return false
    }

    /// Returns whether the text behind a call is blanks so far, which belong to no answer.
    private func isBlankBetweenCalls(_ text: ArraySlice<UInt8>) -> Bool {
        completed > 0 && text.allSatisfy { CallParser.isBlank($0) }
    }

    /// Llama 3: an answer that begins with `{` is a call.
    private mutating func stepWholeAnswer(_ parts: inout [AnswerPart]) -> Bool {
        let tag = Array("<|python_tag|>".utf8)
        guard isAtStart else {
            emit(held, &parts)
            held = []
            return false
        }
        let blanks = held.prefix { CallParser.isBlank($0) }.count
        let rest = held[blanks...]
        if rest.isEmpty || (rest.count < tag.count && tag.starts(with: rest)) { return false }
        if rest.starts(with: tag) {
            held.removeFirst(blanks + tag.count)
            stage = .between
            return true
        }
        if rest.first == UInt8(ascii: "{") {
            held.removeFirst(blanks)
            stage = .between
            return true
        }
        isAtStart = false
        return true
    }

    /// Looks for the next call: an object. Anything else ends the calls.
    private mutating func stepBetween() -> Bool {
        let skipped: (UInt8) -> Bool = { [format] byte in
            CallParser.isBlank(byte) || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";")
                || (format == .mistral && (byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]")))
        }
        held.removeFirst(held.prefix(while: skipped).count)
        guard let first = held.first else { return false }
        if first == UInt8(ascii: "{") {
            (stage, scanner) = (.call, CallScanner())
            return true
        }
        let end = Array("</tool_call>".utf8)
        if format == .hermes, held.count < end.count, end.starts(with: held) { return false }
        if format == .hermes, held.starts(with: end) {
            held.removeFirst(end.count)
            held.removeFirst(held.prefix(while: CallParser.isBlank).count)
        }
        (stage, isAtStart) = (.text, false)
        return true
    }

    private mutating func stepCall(_ parts: inout [AnswerPart]) -> Bool {
        // Pieces end at scalars, bytes do not: what one step finds is decoded as a whole.
        var found: [UInt8] = []
        func flush(_ parts: inout [AnswerPart]) {
            if !found.isEmpty { parts.append(.arguments(index: began, String(decoding: found, as: UTF8.self))) }
            found = []
        }
        defer { flush(&parts) }
        while let byte = held.first {
            held.removeFirst()
            let hadName = scanner.hasName
            let arguments = scanner.take(byte)
            if scanner.hasName && !hadName {
                parts.append(.call(index: began, name: scanner.name))
            }
            if scanner.hasName { found += arguments }
            guard scanner.isDone else { continue }
            if scanner.hasName {
                flush(&parts)
                if !scanner.hasArguments { parts.append(.arguments(index: began, "{}")) }
                parts.append(.callEnd(index: began))
                (began, completed) = (began + 1, completed + 1)
                stage = .between
            } else {
                // An object that is no call.
                emit(scanner.bytes, &parts)
                (stage, isAtStart) = (.text, false)
            }
            return true
        }
        return false
    }

    private mutating func emit(_ bytes: [UInt8], _ parts: inout [AnswerPart]) {
        guard !bytes.isEmpty else { return }
        parts.append(.text(String(decoding: bytes, as: UTF8.self)))
    }

    /// Neighbouring pieces of one kind as one.
    package static func joined(_ parts: [AnswerPart]) -> [AnswerPart] {
        var result: [AnswerPart] = []
        for part in parts {
            switch (result.last, part) {
            case (.text(let before)?, .text(let text)): result[result.count - 1] = .text(before + text)
            case (.thinking(let before)?, .thinking(let text)): result[result.count - 1] = .thinking(before + text)
            case (.arguments(let index, let before)?, .arguments(_, let text)):
                result[result.count - 1] = .arguments(index: index, before + text)
            default: result.append(part)
            }
        }
        return result
    }

    package static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x0A, 0x0D, 0x09].contains(byte) }

    package static func first(_ word: [UInt8], in text: [UInt8]) -> Int? {
        guard !word.isEmpty, text.count >= word.count else { return nil }
        return (0...text.count - word.count).first { text[$0..<$0 + word.count].elementsEqual(word) }
    }

    /// The number of bytes at the end of `text` that begin `word`.
    static func overlap(_ text: [UInt8], _ word: [UInt8]) -> Int {
        for count in stride(from: min(text.count, word.count - 1), to: 0, by: -1)
        where word.starts(with: text.suffix(count)) { return count }
        return 0
    }
}

/// The object of one call, byte by byte: finds its name, and passes on the value of its arguments.
struct CallScanner {
    private(set) var bytes: [UInt8] = []
    private(set) var name = ""
    private(set) var hasName = false
    private(set) var hasArguments = false
    private(set) var isDone = false
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    /// The string that is being read at depth 1, or was read last.
    private var string: [UInt8] = []
    private var key = ""
    private var isValue = false
    /// Arguments that came before the name.
    private var early: [UInt8] = []

    private var isArguments: Bool { isValue && (key == "arguments" || key == "parameters") }

    /// Takes the next byte; returns what it adds to the arguments of a call whose name is known.
    mutating func take(_ byte: UInt8) -> [UInt8] {
        bytes.append(byte)
        var belongs = isArguments && depth >= 1
        if isInString {
            takeInString(byte)
        } else {
            switch byte {
            case UInt8(ascii: "\""):
                isInString = true
                if depth == 1 { string = [] }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 { (isDone, belongs) = (true, false) }
            case UInt8(ascii: ":") where depth == 1 && !isValue:
                key = CallScanner.text(string)
                (isValue, belongs) = (true, false)
            case UInt8(ascii: ",") where depth == 1: (isValue, belongs) = (false, false)
            default: break
            }
        }
        guard belongs, hasArguments || !CallParser.isBlank(byte) else { return released() }
        hasArguments = true
        guard hasName else {
            early.append(byte)
            return []
        }
        return released() + [byte]
    }

    private mutating func released() -> [UInt8] {
        guard hasName, !early.isEmpty else { return [] }
        defer { early = [] }
        return early
    }

    private mutating func takeInString(_ byte: UInt8) {
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isInString = false
            if depth == 1 && isValue && key == "name" && !hasName { (name, hasName) = (CallScanner.text(string), true) }
            return
        }
        if depth == 1 { string.append(byte) }
    }

    private static func text(_ escaped: [UInt8]) -> String {
        let quoted = [UInt8(ascii: "\"")] + escaped + [UInt8(ascii: "\"")]
        return (try? JSON(parsing: quoted))?.stringValue ?? String(decoding: escaped, as: UTF8.self)
    }
}

/// A splitter that parts a model's thinking, between `<think>` and `</think>` at the beginning of an answer, from the
/// answer.
package struct ThinkingSplitter {
    private static let opening = Array("<think>".utf8)
    private static let closing = Array("</think>".utf8)
    private enum Stage { case start, thinking, afterThinking, answer }
    private var stage: Stage
    private var held: [UInt8] = []

    /// - Parameter isThinking: Whether the prompt has opened the part already.
    package init(isThinking: Bool) { stage = isThinking ? .thinking : .start }

    package mutating func append(_ text: String) -> [AnswerPart] {
        if stage == .answer { return text.isEmpty ? [] : [.text(text)] }
        held += Array(text.utf8)
        var parts: [AnswerPart] = []
        while step(&parts) {}
        return parts
    }

    package mutating func finish() -> [AnswerPart] {
        defer { held = [] }
        guard !held.isEmpty else { return [] }
        let text = String(decoding: held, as: UTF8.self)
        return [stage == .thinking ? .thinking(text) : .text(text)]
    }

    private mutating func step(_ parts: inout [AnswerPart]) -> Bool {
        switch stage {
        case .start:
            let blanks = held.prefix(while: CallParser.isBlank).count
            let rest = held[blanks...]
            if rest.count < Self.opening.count, Self.opening.starts(with: rest) { return false }
            guard rest.starts(with: Self.opening) else {
                stage = .answer
                return true
            }
            held.removeFirst(blanks + Self.opening.count)
            stage = .thinking
            return true
        case .thinking:
            let end = CallParser.first(Self.closing, in: held)
            let kept = end == nil ? CallParser.overlap(held, Self.closing) : 0
            let count = end ?? held.count - kept
            if count > 0 { parts.append(.thinking(String(decoding: held.prefix(count), as: UTF8.self))) }
            held.removeFirst(end.map { $0 + Self.closing.count } ?? count)
            if end != nil { stage = .afterThinking }
            return end != nil
        case .afterThinking:
            held.removeFirst(held.prefix(while: CallParser.isBlank).count)
            if held.isEmpty { return false }
            stage = .answer
            return true
        case .answer:
            if !held.isEmpty { parts.append(.text(String(decoding: held, as: UTF8.self))) }
            held = []
            return false
        }
    }
}
