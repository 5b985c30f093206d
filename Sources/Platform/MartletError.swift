/// The error protocol of this package: what is wrong, what helps, and every offence by itself.
///
/// Whatever comes from outside (files, configurations, requests, templates, command lines) and cannot be used ends in
/// an error of this kind. Its ``Swift/CustomStringConvertible/description`` is one line that names cause and remedy.
public protocol MartletError: Error, Sendable, CustomStringConvertible {
    /// The cause, in one line: the file or request, and all that is wrong with it.
    var cause: String { get }
    /// The remedy, where one is known that the cause does not already name.
    var remedy: String? { get }
    /// The offences one by one, in the order found; never empty.
    var offences: [String] { get }
}

extension MartletError {
    /// No remedy beyond the cause's own words.
    public var remedy: String? { nil }
    /// The cause as the only offence.
    public var offences: [String] { [cause] }
    /// The cause, followed by the remedy where there is one.
    public var description: String { remedy.map { "\(cause). \($0)" } ?? cause }
}
