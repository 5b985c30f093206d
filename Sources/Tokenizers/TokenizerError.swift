// MartletTokenizers: text to token ids and back; vocabularies read, written and learnt; chat templates.
//
// Knows nothing of models, tensors or checkpoints: what stands in a GGUF file comes in as a ``GGUFVocabulary``. All
// work is on UTF-8 bytes and Unicode scalars; a grapheme cluster (`Character`) never decides anything.

@_exported public import protocol MartletPlatform.MartletError

/// The reason why a tokenizer could not be made, or could not do what was asked. Nothing outside can make this module
/// trap.
public enum TokenizerError: MartletError, Equatable {
    /// A file that is not what it claims to be, with everything that was found wrong.
    case malformed(source: String, offences: [String])
    /// A well-formed file that asks for what this module does not do.
    case unsupported(source: String, feature: String, remedy: String)
    /// A vocabulary that needs to be told something which its file does not say.
    case incomplete(source: String, missing: String, remedy: String)
    /// A piece of text that the vocabulary cannot spell, where the model has no unknown token.
    case unknownText(String, remedy: String)
    /// Text longer than 2³¹ − 1 bytes, the reach of an offset.
    case textTooLong(bytes: Int)
    /// A token id that the vocabulary does not have.
    case idOutOfRange(Int32, vocabularySize: Int)
    /// Truncation or padding that cannot be done as asked.
    case cannotTruncate(reason: String)

    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] {
        if case .malformed(_, let offences) = self { offences } else { [cause] }
    }

    /// This error, of the file `path`.
    package func inFile(_ path: String) -> TokenizerError {
        func name(_ source: String) -> String { source.utf8.elementsEqual(path.utf8) ? path : "\(path): \(source)" }
        return switch self {
        case .malformed(let source, let offences): .malformed(source: name(source), offences: offences)
        case .unsupported(let source, let feature, let remedy):
            .unsupported(source: name(source), feature: feature, remedy: remedy)
        default: self
        }
    }

    /// The cause: what was found, and where.
    public var cause: String {
        switch self {
        case .incomplete(let source, let missing, let remedy): "\(source) needs \(missing): \(remedy)"
        case .malformed(let source, let offences):
            "\(source): \(offences.joined(separator: "; ")); get the file again, or write it anew with the library that made it"
        case .unsupported(let source, let feature, let remedy): "\(source): \(feature) is not supported; \(remedy)"
        case .unknownText(let text, let remedy): "the vocabulary cannot spell '\(text)'; \(remedy)"
        case .textTooLong(let bytes): "text of \(bytes) bytes is over the limit of \(Int32.max); split it"
        case .idOutOfRange(let id, let size):
            "token id \(id) is not in the vocabulary of \(size); give ids of this tokenizer"
        case .cannotTruncate(let reason): "cannot truncate: \(reason)"
        }
    }
}
