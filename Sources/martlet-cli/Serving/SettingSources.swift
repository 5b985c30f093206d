import MartletJSON
import MartletPlatform
import MartletTraining

/// The sources of settings besides the command line: the environment (`MARTLET_…`), then a YAML file.
final class SettingSources {
    private let path: String
    private let file: JSONObject
    private var asked: Set<String> = []

    /// - Parameter option: The file; without one that of `MARTLET_CONFIG`, where it is set.
    /// - Throws: what reading the file throws, and ``UsageError`` for one that is no mapping of names.
    init(file option: String?) throws {
        let path = option ?? Environment["MARTLET_CONFIG"]
        self.path = path ?? ""
        do {
            file = try path.map { try RecipeText.parse(Input.text($0), path: $0) } ?? JSONObject()
        } catch let error as RecipeError {
            throw UsageError("\(error.path): \(error.offences.joined(separator: "; "))")
        }
    }

    private func elsewhere(_ name: String) -> (value: JSON, source: String)? {
        asked.insert(name)
        let variable = "MARTLET_" + name.uppercased().replacing("-", with: "_")
        if let value = Environment[variable] { return (.string(value), variable) }
        return file[name].map { ($0, "\(path): \(name)") }
    }

    private static func text(_ value: JSON) -> String { value.stringValue ?? value.text() }

    func text(_ name: String, _ option: String?) throws -> String? {
        let other = elsewhere(name)
        if let option { return option }
        return other.map { SettingSources.text($0.value) }
    }

    func texts(_ name: String, _ option: [String]) throws -> [String] {
        let other = elsewhere(name)
        guard option.isEmpty, let other else { return option }
        if let list = other.value.arrayValue { return list.map(SettingSources.text) }
        return SettingSources.text(other.value).split(separator: ",").map(String.init)
    }

    func integer(_ name: String, _ option: Int?, _ range: ClosedRange<Int>) throws -> Int? {
        let other = elsewhere(name)
        guard option != nil || other != nil else { return nil }
        let source = option == nil ? other?.source ?? "" : "--" + name
        let text = option.map { "\($0)" } ?? other.map { SettingSources.text($0.value) } ?? ""
        guard let value = Int(text), range.contains(value) else {
            throw UsageError("\(source) is \(text), but must be between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }

    func flag(_ name: String, _ option: Bool) throws -> Bool {
        guard let other = elsewhere(name), !option else { return option }
        switch SettingSources.text(other.value).lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off", "": return false
        default: throw UsageError("\(other.source) is \(other.value.text()), but true or false is expected")
        }
    }

    /// - Throws: ``UsageError`` for names in the file that no option has.
    func finish() throws {
        let unknown = file.keys.filter { !asked.contains($0) }.sorted()
        guard unknown.isEmpty else {
            throw UsageError("\(path): no option is called \(unknown.joined(separator: ", "))")
        }
    }
}
