import MartletJSON
import TestSupport

/// Changes files as accidents and attackers do: bytes, integers, values of JSON.
struct Mutator {
    private var random: SplitMix

    init(seed: UInt64) { random = SplitMix(state: seed &* 0x9E37_79B9_7F4A_7C15 ^ 0xD1B5_4A32_D192_ED03) }

    mutating func word() -> UInt64 { random.next() }

    mutating func below(_ limit: Int) -> Int { limit > 0 ? Int(word() % UInt64(limit)) : 0 }

    /// Integers at which something ends.
    private static let edges: [Int] = [
        0, 1, -1, 2, 7, 127, 128, 255, 256, 65_535, 1 << 16, Int(Int32.max), Int(Int32.max) + 1, Int(Int32.min),
        Int(UInt32.max), 1 << 32, 1 << 40, 1 << 53, 1 << 62, .max, .min,
    ]
    private static let numbers: [Double] = [0.5, -0.5, 1e-300, 1e30, 1e308, -1e308, 0, 1.5e9, 4_294_967_296.5]

    /// Some bytes changed, most often near the beginning, where headers are.
    mutating func bytes(_ source: [UInt8]) -> [UInt8] {
        var bytes = source
        for _ in 0...below(4) {
            guard !bytes.isEmpty else { return bytes }
            let reach = below(3) == 0 ? bytes.count : min(bytes.count, 4096)
            let place = below(reach)
            switch below(8) {
            case 0: bytes[place] ^= 1 << UInt8(below(8))
            case 1: bytes[place] = UInt8(truncatingIfNeeded: word())
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
            case 3: bytes.insert(contentsOf: (0...below(8)).map { _ in UInt8(truncatingIfNeeded: word()) }, at: place)
            case 4: bytes.removeLast(min(bytes.count, 1 + below(64)))
            case 5:
                let part = Array(bytes[place..<min(bytes.count, place + 1 + below(32))])
                bytes.insert(contentsOf: part, at: below(reach))
            default: overwrite(&bytes, at: place)
            }
        }
        return bytes
    }

    /// Puts an integer at which something ends over 4 or 8 bytes.
    private mutating func overwrite(_ bytes: inout [UInt8], at place: Int) {
        let value = UInt64(bitPattern: Int64(Mutator.edges[below(Mutator.edges.count)]))
        let aligned = place & ~3
        for offset in 0..<(below(2) == 0 ? 4 : 8) where aligned + offset < bytes.count {
            bytes[aligned + offset] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(offset)))
        }
    }

    /// A JSON text with some values put in the place of others.
    mutating func json(_ source: [UInt8]) -> [UInt8] {
        guard below(4) > 0, var tree = try? JSON(parsing: source) else { return bytes(source) }
        for _ in 0...below(3) { change(&tree, depth: 0) }
        return Array(tree.text(.compact).utf8)
    }

    private mutating func change(_ json: inout JSON, depth: Int) {
        switch json {
        case .object(let object) where !object.isEmpty && (depth == 0 || below(4) > 0):
            var object = object
            let (key, value) = object.members[below(object.count)]
            switch below(12) {
            case 0: object[key] = nil
            case 1: object[key + "x"] = value
            default:
                var value = value
                change(&value, depth: depth + 1)
                object[key] = value
            }
            json = .object(object)
        case .array(let elements) where !elements.isEmpty && below(4) > 0:
            var elements = elements
            let place = below(elements.count)
            switch below(8) {
            case 0: elements.remove(at: place)
            case 1: elements.insert(elements[place], at: place)
            default: change(&elements[place], depth: depth + 1)
            }
            json = .array(elements)
        default: json = value(beside: json)
        }
    }

    private mutating func value(beside json: JSON) -> JSON {
        switch below(10) {
        case 0: return .null
        case 1: return .bool(below(2) == 0)
        case 2: return .number(Mutator.numbers[below(Mutator.numbers.count)])
        case 3: return .string(["", "a", "é\u{0}", "<s>", "gelu", "none", "(a|aa)+$", "🦜"][below(8)])
        case 4: return .array([json])
        case 5: return .object(JSONObject())
        default:
            if let number = json.integerValue, below(2) == 0 { return .integer(number &+ below(5) &- 2) }
            return .integer(Mutator.edges[below(Mutator.edges.count)])
        }
    }

    /// A text with signs of its own language put in, taken out and moved.
    mutating func text(_ source: [UInt8], signs: [String]) -> [UInt8] {
        var bytes = source
        for _ in 0...below(5) {
            let place = below(bytes.count + 1)
            switch below(5) {
            case 0 where !bytes.isEmpty: bytes.remove(at: min(place, bytes.count - 1))
            case 1 where !bytes.isEmpty:
                let part = Array(bytes[min(place, bytes.count)..<min(bytes.count, place + 1 + below(24))])
                bytes.insert(contentsOf: part, at: below(bytes.count + 1))
            default: bytes.insert(contentsOf: signs[below(signs.count)].utf8, at: place)
            }
        }
        return bytes
    }
}
