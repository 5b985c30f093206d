@_exported public import protocol MartletPlatform.MartletError

/// The error that keeps a plan from being made. Every message names the cause and the remedy.
public enum PlanningError: MartletError, Equatable {
    /// The configuration names no model type, or one that no description exists for.
    case unknownModelType(String, known: [String])
    /// A configuration with offences, everything that is wrong with it at once.
    case configuration(modelType: String, problems: [String])
    /// A hardware name that no table has.
    case unknownHardware(String, known: [String])
    /// A preset name that does not exist.
    case unknownPreset(String, known: [String])
    /// A table of hardware or presets that does not read.
    case table(name: String, problems: [String])
    /// A question that has no answer, and why.
    case impossible(String)

    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] {
        switch self {
        case .configuration(_, let problems), .table(_, let problems): problems
        default: [cause]
        }
    }

    /// The cause: what was found, and where.
    public var cause: String {
        switch self {
        case .unknownModelType(let name, let known):
            "model type \"\(name)\" is not known to the planner, and it does not guess; known are \(known.joined(separator: ", "))"
        case .configuration(let type, let problems):
            "the configuration of this \(type) model cannot be planned: \(problems.joined(separator: "; "))"
        case .unknownHardware(let name, let known):
            "no hardware is called \"\(name)\"; known are \(known.joined(separator: ", ")), and --hardware-file adds others"
        case .unknownPreset(let name, let known):
            "no preset is called \"\(name)\"; known are \(known.joined(separator: ", "))"
        case .table(let name, let problems): "\(name): \(problems.joined(separator: "; "))"
        case .impossible(let reason): reason
        }
    }
}
