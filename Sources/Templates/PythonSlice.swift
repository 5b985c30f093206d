/// A slice of a sequence by Python's rules: `[start:stop:step]`, where negative bounds count from the end.
struct PythonSlice {
    let start: Int?
    let stop: Int?
    /// The step; not 0.
    let step: Int

    /// The first place, and the one before which the slice ends, in a sequence of `count` elements.
    func bounds(_ count: Int) -> (from: Int, to: Int) {
        func clamp(_ at: Int, _ low: Int, _ high: Int) -> Int { min(max(at < 0 ? at + count : at, low), high) }
        return step > 0
            ? (start.map { clamp($0, 0, count) } ?? 0, stop.map { clamp($0, 0, count) } ?? count)
            : (start.map { clamp($0, -1, count - 1) } ?? count - 1, stop.map { clamp($0, -1, count - 1) } ?? -1)
    }

    /// The places of the slice in a sequence of `count` elements, in its order.
    func places(_ count: Int) -> StrideTo<Int> {
        let (from, to) = bounds(count)
        return stride(from: from, to: to, by: min(max(step, -count - 1), count + 1))
    }
}
