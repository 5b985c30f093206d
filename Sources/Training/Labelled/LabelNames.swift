import MartletJSON

/// The classes of a labelled data set by name and number.
package struct LabelNames: Sendable {
    package let names: [String]
    private let numbers: [ByteText: Int32]

    package init(_ names: [String]) {
        self.names = names
        numbers = Dictionary(names.enumerated().map { (ByteText($1), Int32($0)) }) { first, _ in first }
    }

    /// Every name that occurs: in the order of numbers where all are such, else of their bytes. `known`, the classes
    /// that a model has already, stay where they are if they cover all.
    package init(collecting found: [String], known: [String]) {
        let unique = Array(Set(found.map { ByteText($0) }))
        let held = LabelNames(known)
        if !unique.isEmpty && unique.allSatisfy({ held.numbers[$0] != nil }) {
            self = held
            return
        }
        let texts = unique.map { String(decoding: $0.bytes, as: UTF8.self) }
        let whole = texts.compactMap { Int($0) }
        self.init(
            whole.count == texts.count
                ? whole.sorted().map { "\($0)" }
                : texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    package var count: Int { names.count }

    package func number(_ name: String) -> Int32? { numbers[ByteText(name)] }

    /// The offence of a name that is none of the labels.
    package func unknown(_ name: String) -> String {
        let near = NearestWord.of(name, among: names).map { " (nearest: \($0))" } ?? ""
        return "the label \(name.quoted) is not among \(names.count)" + near
    }
}
