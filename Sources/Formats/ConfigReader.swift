package import MartletJSON

/// A reader of a model's settings, key by key, which remembers what was asked for and what was wrong.
///
///     let config = try ConfigReader(contentsOf: folder + "/config.json")
///     let width = config.integer("hidden_size", "n_embd")
///     let headWidth = config.optionalInteger("head_dim")
///     let epsilon = config.number("rms_norm_eps", default: 1e-6)
///     try config.finish()
///
/// No accessor throws. A key that is missing, of the wrong type or out of range gives a value within the range and is
/// remembered; ``finish(ignoring:reference:)`` throws one ``ConfigError`` that names all of them. Until it has
/// returned, the values must not be computed with. `null` counts as absent, as in the configs of transformers. Of
/// several keys, the first that is present counts; if others say something else, that is remembered too.
///
/// Keys that nobody asked for are refused where the reference reads them and they are not at its default, and else
/// passed over.
package final class ConfigReader {
    package let path: String
    private let node: Node
    private let report: Report

    /// An object of the settings, and which of its keys were asked for.
    private final class Node {
        let object: JSONObject
        /// The keys that lead to ``object``, each followed by a dot.
        let place: String
        var readKeys: Set<ExactKey> = []
        var absentKeys: Set<ExactKey> = []

        init(_ object: JSONObject, place: String) { (self.object, self.place) = (object, place) }
    }

    /// The findings of an object's reader and of those nested in it.
    private final class Report {
        var offences: [String] = []
        var nodes: [Node] = []
        var passedOver: [String] = []
    }

    /// The sizes that a model can have; ``integer(_:in:)`` accepts these unless told otherwise.
    package static let sizes = 1...Int(Int32.max)
    /// All numbers; ``number(_:in:)`` accepts these unless told otherwise.
    package static let numbers = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude

    /// Settings that stand in `path`, or anywhere that this name tells a reader of messages.
    package convenience init(_ object: JSONObject, path: String) {
        self.init(Node(object, place: ""), path: path, report: Report())
    }

    private init(_ node: Node, path: String, report: Report) {
        (self.node, self.path, self.report) = (node, path, report)
        report.nodes.append(node)
    }

    /// Opens a JSON file that holds one object.
    ///
    /// - Throws: ``ConfigError`` when it cannot be read, or is something else.
    package convenience init(contentsOf path: String) throws(ConfigError) {
        let json: JSON
        do { json = try JSON(contentsOf: path, as: .python) } catch {
            throw ConfigError(path: path, offences: [error.reason])
        }
        guard let object = json.objectValue else {
            throw ConfigError(path: path, offences: ["it holds \(json.kind) instead of an object"])
        }
        self.init(object, path: path)
    }

    /// All keys, in the order of the file.
    package var keys: [String] { node.object.keys }

    /// Keys that were asked for and are not there, in alphabetical order: what was taken instead is the default of the
    /// model type. Of several keys for one setting, the first stands for all.
    package var absentKeys: [String] { node.absentKeys.map(\.string).sorted() }

    /// Returns whether `key` is there and not null. Does not count as reading it.
    package func has(_ key: String) -> Bool { !(node.object[key]?.isNull ?? true) }

    /// Remembers something that is wrong beyond a single key's type and range: "5 heads do not divide 64".
    package func reject(_ offence: String) { report.offences.append(offence) }

    /// Counts `keys` as read.
    package func ignore(_ keys: String...) { for key in keys { node.readKeys.insert(ExactKey(key)) } }

    /// Keys that say nothing to this model type, in the order of the file: known once ``finish(ignoring:reference:)``
    /// has returned.
    package var passedOver: [String] { report.passedOver }

    /// Ends the reading.
    ///
    /// - Parameters:
    ///   - harmless: Keys of this model that change nothing that is computed, beside ``HarmlessKeys``.
    ///   - reference: The keys that the model type's published class reads, with their defaults: of the keys that
    ///     nobody asked for, these are refused unless they have that value, and the others are passed over. Nil, and
    ///     all of them are refused.
    /// - Throws: ``ConfigError`` with all that was missing, wrong or not supported, here and in nested objects.
    package func finish(ignoring harmless: [String] = [], reference: JSONObject? = nil) throws(ConfigError) {
        let unread = report.nodes.flatMap { node in
            ConfigReader.unread(node, ignoring: harmless).map { (node.place + $0.key, $0.value) }
        }
        var (offences, passedOver): ([String], [String]) = (report.offences, [])
        if let reference {
            for (key, value) in unread {
                guard let standard = reference[key] else {
                    passedOver.append(key)
                    continue
                }
                if !standard.isSameSetting(as: value) {
                    offences.append(
                        "\(key.quoted) is \(value.text().shortened), which this model type reads; only "
                            + "\(standard.text().shortened) is supported")
                }
            }
        } else if !unread.isEmpty {
            let names = unread.map { $0.0.quoted }.joined(separator: ", ")
            offences.append("unknown \(unread.count == 1 ? "key" : "keys") \(names)")
        }
        if !offences.isEmpty { throw ConfigError(path: path, offences: offences) }
        report.passedOver = passedOver
    }

    /// The settings that nobody asked for and that may change what is computed.
    private static func unread(_ node: Node, ignoring harmless: [String]) -> [JSONObject.Member] {
        node.object.members.filter { key, value in
            !value.isNull && !node.readKeys.contains(ExactKey(key)) && !harmless.contains { $0.hasSameBytes(as: key) }
                && !(node.place.isEmpty && HarmlessKeys.includes(key))
        }
    }
}

extension JSON {
    /// Returns whether two values mean the same to a configuration: numbers by their size, however written.
    fileprivate func isSameSetting(as other: JSON) -> Bool {
        if let (a, b) = doubleValue.flatMap({ a in other.doubleValue.map { (a, $0) } }) { return a == b }
        return self == other
    }
}

extension ConfigReader {
    /// The value of the first of `keys` that is present, whatever it is.
    package func json(_ keys: String...) -> JSON? { first(keys)?.value }

    /// The settings nested under a required key.
    package func object(_ keys: String...) -> ConfigReader {
        if let nested = nested(keys) { return nested }
        missing(keys)
        return ConfigReader(
            Node(JSONObject(), place: node.place + (keys.first ?? "") + "."), path: path, report: report)
    }

    /// The settings nested under a key, or nil when it is absent.
    package func optionalObject(_ keys: String...) -> ConfigReader? { nested(keys) }

    private func nested(_ keys: [String]) -> ConfigReader? {
        guard let (key, value) = first(keys) else { return nil }
        if value.objectValue == nil { wrong(key, value, "an object") }
        let nested = Node(value.objectValue ?? JSONObject(), place: node.place + key + ".")
        return ConfigReader(nested, path: path, report: report)
    }

    /// Reads one of `keys` with `read`; what it refuses is remembered as not being `expected`.
    func value<Value>(_ keys: [String], _ expected: @autoclosure () -> String, _ read: (JSON) -> Value?) -> Value? {
        guard let (key, value) = first(keys) else { return nil }
        if let read = read(value) { return read }
        wrong(key, value, expected())
        return nil
    }

    /// The first of `keys` that is present. All count as read.
    private func first(_ keys: [String]) -> (key: String, value: JSON)? {
        for key in keys { node.readKeys.insert(ExactKey(key)) }
        let present = keys.compactMap { key in node.object[key].flatMap { $0.isNull ? nil : (key: key, value: $0) } }
        if present.isEmpty, let key = keys.first { node.absentKeys.insert(ExactKey(key)) }
        for other in present.dropFirst() where other.value != present[0].value {
            reject("\(name(present[0].key)) and \(name(other.key)) contradict each other")
        }
        return present.first
    }

    /// Returns whether the first of `keys` that is present is false. All count as read.
    func isFalse(_ keys: [String]) -> Bool { first(keys)?.value == .bool(false) }

    /// Remembers that none of `keys` is there.
    func missing(_ keys: [String]) {
        let others = keys.dropFirst().map { name($0) }.joined(separator: ", ")
        reject("\(name(keys.first ?? "")) is missing" + (others.isEmpty ? "" : " (nor is there \(others))"))
    }

    private func wrong(_ key: String, _ value: JSON, _ expected: String) {
        reject("\(name(key)) should be \(expected), it is \(value.text().shortened)")
    }

    private func name(_ key: String) -> String { (node.place + key).quoted }

    /// Returns whether one of `keys` is there; so that a wrong value is not also reported as missing.
    func hasAny(_ keys: [String]) -> Bool { keys.contains(where: has) }
}
