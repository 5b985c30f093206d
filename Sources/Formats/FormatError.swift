// MartletFormats: tensors and settings from files and into them (safetensors, GGUF, config.json).
//
// Knows no model: neither what a tensor is for nor what a setting means.

public import MartletPlatform
import MartletTensors

/// The error of a file, with everything that is wrong with it, and what helps.
public struct FormatError: MartletError, Equatable {
    /// The file.
    public let path: String
    /// The problem that the offences amount to: "not a valid safetensors file".
    public let problem: String
    /// The offences, one per cause, in the order found; at most ``maximumOffences``.
    public let offences: [String]
    /// The number of offences beyond those listed.
    public let omitted: Int
    /// The remedy, where one is known.
    public let remedy: String?

    /// The number of offences that keep their words; the others are counted.
    public static let maximumOffences = 20

    /// The remedy of a file that breaks its format's rules.
    static let incompleteCopy = "If it was downloaded or copied, the copy may be incomplete: fetch it again"

    /// A file with these offences.
    public init(path: String, problem: String, offences: [String], omitted: Int = 0, remedy: String? = nil) {
        (self.path, self.problem, self.offences, self.omitted) = (path, problem, offences, omitted)
        self.remedy = remedy
    }

    /// A file that the system would not open, read, map or write.
    package init(_ error: FileError) {
        self.init(path: error.path, problem: "cannot \(error.operation)", offences: [error.reason])
    }

    /// The cause: what was found, and where.
    public var cause: String {
        let list = offences + (omitted > 0 ? ["and \(omitted) more"] : [])
        return "\(path): \(problem): \(list.joined(separator: "; "))"
    }
}

/// The offences of a file, collected; the first ones keep their words, all are counted.
struct Offences {
    private(set) var list: [String] = []
    private(set) var omitted = 0

    var isEmpty: Bool { list.isEmpty }

    mutating func add(_ offence: @autoclosure () -> String) {
        if list.count < FormatError.maximumOffences { list.append(offence()) } else { omitted += 1 }
    }

    /// - Throws: one error with all offences, when there is any.
    func check(_ path: String, _ problem: String, remedy: String? = nil) throws(FormatError) {
        guard !isEmpty else { return }
        throw FormatError(path: path, problem: problem, offences: list, omitted: omitted, remedy: remedy)
    }
}
