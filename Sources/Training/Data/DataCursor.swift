/// Where in the data a run is: plain data, so that a checkpoint holds it and a resumed run goes on with the very next
/// example.
package struct DataCursor: Sendable, Hashable, Codable {
    /// One source's place.
    package struct Place: Sendable, Hashable, Codable {
        /// How often the source has been read to its end.
        package var epoch = 0
        /// Pieces of this epoch that have been taken.
        package var piece = 0

        package init() {}
    }

    /// Examples drawn so far; the draws of the mixture and of each example's randomness are counted by this.
    package var examples = 0
    package var places: [Place]

    package init(sources: Int) { places = Array(repeating: Place(), count: sources) }
}
