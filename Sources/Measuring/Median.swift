extension Array<Double> {
    /// The median; of an even number of elements the mean of the middle two.
    ///
    /// - Precondition: there are elements.
    package var median: Double {
        precondition(!isEmpty, "median: of nothing")
        let sorted = sorted()
        return (sorted[count / 2] + sorted[(count - 1) / 2]) / 2
    }
}
