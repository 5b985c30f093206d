@_exported public import protocol MartletPlatform.MartletError

/// The reason why a template could not be read or rendered, in Jinja2's words where it has any.
public struct TemplateError: MartletError, Equatable {
    /// The kind of error, as Jinja2 and Python name it.
    public enum Kind: String, Sendable {
        /// A template that is itself wrong.
        case syntax = "TemplateSyntaxError"
        /// A call of `raise_exception` by the template: the conversation is not one it knows.
        case raised = "TemplateError"
        /// A request for what a sandbox does not give.
        case security = "SecurityError"
        /// An operation on a name or attribute that is missing.
        case undefined = "UndefinedError"
        /// An operation that does not take values of this kind.
        case type = "TypeError"
        /// An operation that does not take this value.
        case value = "ValueError"
        /// A mapping that lacks the key that a format asks for.
        case key = "KeyError"
        /// A division by zero.
        case zeroDivision = "ZeroDivisionError"
        /// A number that is too large.
        case overflow = "OverflowError"
        /// A filter or test that is not there, or anything else that shows when it is reached.
        case runtime = "TemplateRuntimeError"
        /// A limit that was exceeded: it took more steps, text or nesting than allowed.
        case limit = "LimitError"
    }

    /// The kind of error.
    public let kind: Kind
    /// The message: what the error is about, in Jinja2's words where it has some.
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
