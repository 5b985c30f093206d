/// A number that says how good a model is, by the name that recipes and reports use.
package struct Measure: Sendable, Equatable {
    package let name: String
    package let value: Double

    package init(_ name: String, _ value: Double) { (self.name, self.value) = (name, value) }
}
