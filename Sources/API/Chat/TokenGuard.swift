import Martlet
package import MartletJSON
package import MartletTokenizers

/// A text with stretches in which special tokens are not looked for.
package struct GuardedText: Sendable, Equatable {
    package var text: String
    /// The stretches that are plain text: UTF-8 offsets, ascending.
    package var plainRanges: [Range<Int>]

    /// The tokens; what marks the structure is spelled by the template.
    package func tokens(_ tokenizer: Tokenizer) throws(TokenizerError) -> [Int32] {
        try tokenizer.encode(
            text, addSpecialTokens: false, parsing: plainRanges.isEmpty ? .all : .outside(plainRanges))
    }
}

/// A guard that keeps what users write from being read as special tokens.
///
/// A template mixes its own special tokens with what stands in the messages. So before rendering, each spelling of a
/// special token inside a message is marked behind its first scalar by a scalar that occurs nowhere else (a
/// noncharacter, U+FDD0 to U+FDEF); afterwards the marks are taken out, and the scalars before them are no part of
/// a special token.
package struct TokenGuard {
    /// Spellings by their first byte.
    private struct Spellings {
        private var byFirst: [[[UInt8]]] = Array(repeating: [], count: 256)

        init(_ spellings: some Sequence<[UInt8]>) {
            for spelling in spellings {
                if let first = spelling.first { byFirst[Int(first)].append(spelling) }
            }
        }

        func begin(_ text: ArraySlice<UInt8>) -> Bool {
            text.first.map { byFirst[Int($0)].contains { text.starts(with: $0) } } ?? false
        }
    }

    /// Tokens that mark structure.
    private let special: Spellings
    /// The tokens that mark structure and the added tokens that the template spells, as `<tool_call>`.
    private let structural: Spellings
    private let mark: [UInt8]

    /// - Returns: nil when a text holds all marks, which no honest text does.
    package init?(_ tokenizer: Tokenizer, template: [UInt8], messages: JSON) {
        let added = tokenizer.addedTokens.filter { !$0.content.isEmpty }
        special = Spellings(added.filter(\.isSpecial).map(\.content))
        structural = Spellings(
            added.filter { token in
                token.isSpecial
                    || (!token.content.allSatisfy(CallParser.isBlank)
                        && CallParser.first(token.content, in: template) != nil)
            }.map(\.content))
        let text = messages.serialized()
        let marks = (0xFDD0...0xFDEF).compactMap { Unicode.Scalar($0) }.map { Array(String($0).utf8) }
        guard let mark = marks.first(where: { CallParser.first($0, in: text) == nil }) else { return nil }
        self.mark = mark
    }

    /// Messages with marks: in what an assistant said earlier only in tokens that mark structure, for templates cut its
    /// thinking off.
    package func marked(messages: [JSON]) -> JSON {
        .array(
            messages.map { message in
                let isOwn = message["role"]?.stringValue == "assistant"
                return marked(message, isOwn ? special : structural)
            })
    }

    /// Every string of a value, with marks.
    func marked(_ value: JSON) -> JSON { marked(value, structural) }

    private func marked(_ value: JSON, _ spellings: Spellings) -> JSON {
        switch value {
        case .string(let text): return .string(marked(text, spellings))
        case .array(let elements): return .array(elements.map { marked($0, spellings) })
        case .object(let object):
            var result = JSONObject()
            for (key, value) in object.members { result[marked(key, spellings)] = marked(value, spellings) }
            return .object(result)
        default: return value
        }
    }

    private func marked(_ text: String, _ spellings: Spellings) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var start = 0
        while start < bytes.count {
            var end = start + 1
            while end < bytes.count && bytes[end] & 0xC0 == 0x80 { end += 1 }
            result += bytes[start..<end]
            if spellings.begin(bytes[start...]) { result += mark }
            start = end
        }
        return result.count == bytes.count ? text : String(decoding: result, as: UTF8.self)
    }

    /// A rendered text without its marks.
    package func unmarked(_ text: String) -> GuardedText {
        let bytes = Array(text.utf8)
        guard CallParser.first(mark, in: bytes) != nil else { return GuardedText(text: text, plainRanges: []) }
        var result: [UInt8] = []
        var ranges: [Range<Int>] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == mark[0], bytes[index...].starts(with: mark) {
                ranges.append(max(0, result.count - 1)..<result.count)
                index += mark.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return GuardedText(text: String(decoding: result, as: UTF8.self), plainRanges: ranges)
    }
}
