public import MartletFormats
import MartletJSON
public import MartletModels
public import MartletPlatform
public import MartletTokenizers

/// The reason why a model cannot be loaded; each case carries the error that names every offence.
public enum LoadError: MartletError {
    /// A file that is missing, unreadable or damaged: ``FileError``, ``FormatError``, ``JSONError``.
    case file(any MartletError)
    /// Settings that are missing, wrong or contradict each other.
    case configuration(ConfigError)
    /// Tensors that are not those of the configuration.
    case weights(CheckpointError)
    /// A vocabulary that cannot be used.
    case tokenizer(TokenizerError)
    /// A model that is of another kind than is asked for, or of one that is not known here: ``ModelError``,
    /// ``UnsupportedArchitecture``, ``TaskError``.
    case model(any MartletError)

    /// The case to which `error` belongs.
    package init(_ error: any Error) {
        switch error {
        case let error as LoadError: self = error
        case let error as ConfigError: self = .configuration(error)
        case let error as CheckpointError: self = .weights(error)
        case let error as TokenizerError: self = .tokenizer(error)
        case let error as FormatError: self = .file(error)
        case let error as FileError: self = .file(error)
        case let error as JSONError: self = .file(error)
        case let error as any MartletError: self = .model(error)
        default: self = .model(ModelError("\(error)"))
        }
    }

    /// The error that the case carries.
    public var underlying: any MartletError {
        switch self {
        case .file(let error), .model(let error): error
        case .configuration(let error): error
        case .weights(let error): error
        case .tokenizer(let error): error
        }
    }

    /// The cause: what was found, and where.
    public var cause: String { underlying.cause }
    /// The remedy, where one is known.
    public var remedy: String? { underlying.remedy }
    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] { underlying.offences }
    /// The text of it, for people.
    public var description: String { underlying.description }
}
