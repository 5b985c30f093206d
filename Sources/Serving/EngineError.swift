import MartletPlatform

/// The reason why an engine does not take a request, or does not finish it.
package enum EngineError: MartletError, Hashable {
    /// A request with offences, everything that is wrong with it.
    case invalid([String])
    /// A queue in which too much waits; the numbers.
    case overloaded(String)
    /// The deadline has passed.
    case expired
    /// The engine has been stopped.
    case stopped
    /// A constraint lets no token come.
    case unsatisfiable(String)

    package var cause: String {
        switch self {
        case .invalid(let offences): offences.joined(separator: "; ")
        case .overloaded(let numbers): "the model is busy: \(numbers)"
        case .expired: "the request's deadline has passed"
        case .stopped: "the model's engine has been stopped"
        case .unsatisfiable(let reason): "no token may follow: \(reason)"
        }
    }

    package var remedy: String? {
        switch self {
        case .invalid: nil
        case .overloaded: "Try again later"
        case .expired: "Allow more time, or ask for fewer tokens"
        case .stopped: "Make a new one"
        case .unsatisfiable: "Relax the schema or the grammar"
        }
    }

    package var offences: [String] { if case .invalid(let offences) = self { offences } else { [cause] } }
}
