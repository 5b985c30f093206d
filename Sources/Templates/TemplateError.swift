@_exported public import protocol MartletPlatform.MartletError

/// Why a template could not be read or rendered, in Jinja2's words where it has any.
public struct TemplateError: MartletError, Equatable {
    /// What went wrong, as Jinja2 and Python name it.
    public enum Kind: String, Sendable {
        /// The template itself is wrong.
        case syntax = "TemplateSyntaxError"
        /// The template called `raise_exception`: the conversation is not one it knows.
        case raised = "TemplateError"
        /// It asks for what a sandbox does not give.
        case security = "SecurityError"
        /// Something is done with a name or attribute that is missing.
        case undefined = "UndefinedError"
        /// An operation does not take values of this kind.
        case type = "TypeError"
        /// An operation does not take this value.
        case value = "ValueError"
        /// A mapping lacks the key that a format asks for.
        case key = "KeyError"
        /// A division by zero.
        case zeroDivision = "ZeroDivisionError"
        /// A number that is too large.
        case overflow = "OverflowError"
        /// A filter or test that is not there, or anything else that shows when it is reached.
        case runtime = "TemplateRuntimeError"
        /// It took more steps, text or nesting than allowed.
        case limit = "LimitError"
    }

    /// What went wrong.
    public let kind: Kind
    /// What it was about, in Jinja2's words where it has some.
    public let message: String
    /// The line of the template, from 1, where known.
    public var line: Int?

    /// An error; nil: nowhere in particular.
    public init(_ kind: Kind, _ message: String, line: Int? = nil) {
        (self.kind, self.message, self.line) = (kind, message, line)
    }

    /// The cause: what was found, and where.
    public var cause: String {
        "\(kind.rawValue): \(message)" + (line.map { " (line \($0) of the template)" } ?? "")
    }
}
