import MartletFormats
import MartletLayers

/// The name of one of our weights in a checkpoint, and what lies between its layout and ours.
///
/// Names are data, so that one table serves loading, saving and reporting. `#` stands for the layer's number, `##` for
/// an expert's.
package struct WeightName: Sendable, Hashable, ExpressibleByStringLiteral {
    /// The layout of a parameter in the checkpoint, beside the one it has here.
    package enum Layout: Sendable, Hashable {
        case asStored
        /// The checkpoint keeps `[inputs, outputs]`: GPT-2.
        case transposed
        /// Rows of a tensor that holds several of ours, in this order of our names. With `groups`, it holds the first
        /// share of each, then the second share of each, and so on: GPT-NeoX keeps query, key and value head by head.
        case rows(of: [String], groups: Int = 1)
        /// Rows of a tensor that holds several of ours, in this order, in a checkpoint that keeps `[inputs, outputs]`.
        case transposedRows(of: [String])
        /// Rows of each head reordered from (2i, 2i + 1) to (i, i + headWidth/2): GGUF keeps Llama's queries and keys
        /// so.
        case rotaryPairs(headWidth: Int)
        /// A stacked tensor, one of `count` along a further, outermost axis: ggml's experts. In a resolved name, ours
        /// is the one at `index`, the last number of our path. With `transposed`, each is kept as `[inputs, outputs]`:
        /// Llama 4.
        case stacked(count: Int, index: Int = 0, transposed: Bool = false)
        /// Rows of one of `count` such tensors, each of which holds several of ours in this order, in `groups` as
        /// above: transformers 5's experts; with as many groups as rows, in turn: gpt-oss.
        case stackedRows(count: Int, of: [String], index: Int = 0, groups: Int = 1, transposed: Bool = false)
        /// The checkpoint keeps our numbers plus this: GGUF has Gemma's norm weights plus 1.
        case plus(Float)
    }

    package let name: String
    package let layout: Layout

    package init(_ name: String, _ layout: Layout = .asStored) { (self.name, self.layout) = (name, layout) }
    package init(stringLiteral name: String) { self.init(name) }
}

/// Our module paths on the left, a checkpoint's on the right.
package struct WeightNames: Sendable, ExpressibleByDictionaryLiteral {
    private let entries: [String: WeightName]
    private let fallback: Fallback

    /// The fallback for paths that no entry names.
    private enum Fallback { case none, ours }

    /// Checkpoints that use our own paths: models that were made here.
    package static let ours = WeightNames(entries: [:], fallback: .ours)

    package init(dictionaryLiteral elements: (String, WeightName)...) {
        self.init(entries: Dictionary(elements) { $1 }, fallback: .none)
    }

    private init(entries: [String: WeightName], fallback: Fallback) {
        (self.entries, self.fallback) = (entries, fallback)
    }

    /// This table with further or other entries.
    package func adding(_ others: WeightNames) -> WeightNames {
        WeightNames(entries: entries.merging(others.entries) { $1 }, fallback: fallback)
    }

    /// The entries for parameters of `module`.
    func of(_ module: String) -> WeightNames {
        WeightNames(
            entries: entries.filter { $0.key == module || $0.key.hasPrefix(module + ".") }, fallback: fallback)
    }

    /// This table where a projection to the vocabulary of its own has its bias beside it, which is then read in place
    /// of the one that a tied projection has: BERT and its relatives keep both.
    func withBias(ofHead head: Architecture.Head, in tensors: StoredTensors) -> WeightNames {
        let tokens: Architecture.TokenHead
        switch head {
        case .tokens(let form), .pretraining(let form, _): tokens = form
        default: return self
        }
        guard tokens.weights == .own, tokens.bias == .present, let weight = resolve("head.weight")?.name,
            weight.hasSuffix(".weight"), tensors[weight] != nil
        else { return self }
        let bias = String(weight.dropLast("weight".count)) + "bias"
        return tensors[bias] == nil ? self : adding(["head.bias": WeightName(bias)])
    }

    /// This table with another name for the stack, the first part of our paths. Layouts that name other parameters stay
    /// as they are.
    func replacing(_ stack: String, by other: String) -> WeightNames {
        let renamed = entries.map { path, name in
            (path.hasPrefix(stack + ".") ? other + path.dropFirst(stack.count) : path, name)
        }
        return WeightNames(entries: Dictionary(renamed) { first, _ in first }, fallback: fallback)
    }

    /// The name of our parameter `path` ("decoder.3.attention.query.weight") in the checkpoint; nil when the table does
    /// not say.
    package func resolve(_ path: String) -> WeightName? {
        let parts = path.split(separator: ".").map(String.init)
        guard let suffix = parts.last else { return nil }
        let numbers = parts.filter { Int($0) != nil }
        let module = parts.dropLast().joined(separator: ".")
        let pattern = WeightNames.pattern(parts.dropLast())
        // An entry for the parameter itself goes before one for its module, one for a single layer before one for all.
        if let entry = entries[pattern + "." + suffix] { return WeightNames.fill(entry, numbers, suffix: nil) }
        if let entry = entries[module] { return WeightNames.fill(entry, numbers, suffix: suffix) }
        if let entry = entries[pattern] { return WeightNames.fill(entry, numbers, suffix: suffix) }
        return fallback == .ours ? WeightName(path) : nil
    }

    private static func pattern(_ parts: ArraySlice<String>) -> String {
        var mark = ""
        return parts.map { part in
            guard Int(part) != nil else { return part }
            mark += "#"
            return mark
        }.joined(separator: ".")
    }

    private static func fill(_ entry: WeightName, _ numbers: [String], suffix: String?) -> WeightName {
        func full(_ name: String) -> String { WeightNames.fill(name, numbers) + (suffix.map { "." + $0 } ?? "") }
        let last = numbers.last.flatMap { Int($0) } ?? 0
        let layout: WeightName.Layout =
            switch entry.layout {
            case .rows(let parts, let groups): .rows(of: parts.map(full), groups: groups)
            case .transposedRows(let parts): .transposedRows(of: parts.map(full))
            case .stacked(let count, _, let transposed):
                .stacked(count: count, index: last % max(count, 1), transposed: transposed)
            case .stackedRows(let count, let parts, _, let groups, let transposed):
                .stackedRows(
                    count: count, of: parts.map(full), index: last % max(count, 1), groups: groups,
                    transposed: transposed)
            case .asStored, .transposed, .rotaryPairs, .plus: entry.layout
            }
        return WeightName(full(entry.name), layout)
    }

    private static func fill(_ name: String, _ numbers: [String]) -> String {
        // Some checkpoints have a word before the number: "expert_##".
        name.split(separator: ".", omittingEmptySubsequences: false).map { part in
            let word = part.utf8.prefix { $0 != UInt8(ascii: "#") }.count
            let marks = part.utf8.count - word
            guard marks > 0 && marks <= numbers.count else { return String(part) }
            return String(decoding: part.utf8.prefix(word), as: UTF8.self) + numbers[marks - 1]
        }.joined(separator: ".")
    }
}
