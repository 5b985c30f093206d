/// The position of a run in its data: plain data, so that a checkpoint holds it and a resumed run goes on with the very
/// next example.
package struct DataCursor: Sendable, Hashable, Codable {
    /// The place in one source.
    package struct Place: Sendable, Hashable, Codable {
        /// The number of times that the source has been read to its end.
        package var epoch = 0
        /// The number of pieces of this epoch that have been taken.
        package var piece = 0

        package init() {}
    }

    /// The number of examples drawn so far; the draws of the mixture and of each example's randomness are counted by
    /// this.
    package var examples = 0
    package var places: [Place]

    package init(sources: Int) { places = Array(repeating: Place(), count: sources) }
}
