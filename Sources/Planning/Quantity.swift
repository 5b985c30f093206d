// MartletPlanning: what a model takes (parameters, bytes, operations, time, energy, money) before anything is run.
//
// Knows no tensor and no weight: it reads descriptions and hardware tables, and does arithmetic. Whatever it says
// carries its unit, its formula, the convention it follows and the numbers that went in.

/// A number of things: parameters, bytes, operations. 128 bits, since a training run's operations do not fit 64.
public typealias Count = Int128

/// The unit that a number is measured in. GB (10⁹) and GiB (2³⁰) never stand for each other: sizes are in plain bytes.
public enum Unit: String, Sendable, Hashable, Codable {
    case parameters
    case bytes
    case tensors
    case tokens
    case sequences
    case devices
    case flop = "FLOP"
    case flopPerByte = "FLOP/byte"
    case bytesPerToken = "bytes/token"
    case tokensPerSecond = "tokens/s"
    case bitsPerWeight = "bits/weight"
    case petaflopDays = "PF-days"
    case seconds = "s"
    case hours = "h"
    case days
    case watts = "W"
    case kilowattHours = "kWh"
    case kilograms = "kg CO2e"
    case dollars = "USD"
    case percent = "%"
    case ratio = "x"
    case nats = "nats/token"
}

/// A formula of the planner: what it computes, in one line, and where it comes from.
public struct Formula: Sendable, Hashable {
    /// The name that reports carry, as `memory.cache`.
    public let name: String
    /// The formula itself, in words and symbols.
    public let text: String
    /// The convention that the formula follows, where those of the field differ.
    public let convention: String
    /// Paper, specification or program it was taken from.
    public let source: String

    /// A formula with its convention and source.
    public init(_ name: String, _ text: String, convention: String, source: String) {
        (self.name, self.text, self.convention, self.source) = (name, text, convention, source)
    }
}

/// A number with everything needed to check it: unit, formula, convention, source and the numbers that went in.
public struct Quantity: Sendable, Hashable {
    /// A number: counted exactly, or measured.
    public enum Value: Sendable, Hashable {
        /// An exact count.
        case count(Count)
        /// A number that is measured or estimated.
        case measure(Double)
        /// A range between two ends, with the value that the stated assumptions make the likeliest.
        case range(low: Double, middle: Double, high: Double)
    }

    /// An input of a formula, a number that went into it.
    public struct Input: Sendable, Hashable {
        /// The name in the formula.
        public let name: String
        /// The value as it is shown.
        public let value: String

        /// An input with its value as text.
        public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
        /// An input that is counted.
        public init(_ name: String, _ value: Count) { self.init(name, grouped(value)) }
        /// An input that is counted.
        public init(_ name: String, _ value: Int) { self.init(name, grouped(Count(value))) }
        /// An input that is measured.
        public init(_ name: String, _ value: Double) { self.init(name, shortened(value)) }
    }

    /// The number.
    public let value: Value
    /// The unit of the number.
    public let unit: Unit
    /// The formula by which the number was computed.
    public let formula: Formula
    /// The inputs of the formula.
    public let inputs: [Input]

    /// A quantity of any kind.
    public init(_ value: Value, _ unit: Unit, _ formula: Formula, _ inputs: [Input] = []) {
        (self.value, self.unit, self.formula, self.inputs) = (value, unit, formula, inputs)
    }

    /// A quantity that is counted exactly.
    public init(_ count: Count, _ unit: Unit, _ formula: Formula, _ inputs: [Input] = []) {
        self.init(.count(count), unit, formula, inputs)
    }

    /// A quantity that is measured or estimated.
    public init(_ measure: Double, _ unit: Unit, _ formula: Formula, _ inputs: [Input] = []) {
        self.init(.measure(measure), unit, formula, inputs)
    }

    /// The value as a floating-point number: the middle of a range.
    public var amount: Double {
        switch value {
        case .count(let count): Double(count)
        case .measure(let measure): measure
        case .range(_, let middle, _): middle
        }
    }

    /// The exact value, where there is one.
    public var count: Count? { if case .count(let count) = value { count } else { nil } }

    /// The derivation as text: "formula = value unit, with a = 1, b = 2 [convention; source]".
    public var derivation: String {
        let numbers = inputs.isEmpty ? "" : " with " + inputs.map { "\($0.name) = \($0.value)" }.joined(separator: ", ")
        return "\(formula.text)\(numbers) = \(readable) [\(formula.convention); \(formula.source)]"
    }
}
