extension UnigramModel {
    /// The largest sum of scores: beyond this a rounded sum is too coarse for words to be remembered.
    private static let largestSum = 16_384.0
    /// A word is remembered when each choice on its best way was won by this much: roundings of a float sum below
    /// ``largestSum`` cannot turn it over in any other place. (Each is at most 2⁻¹¹; two ways of at most 24 sums each
    /// differ by less than 0.024 for it, here and there.)
    static let safeMargin = 0.05

    /// Appends the tokens of a text cut at its joints.
    ///
    /// Exactly what the search over the whole text finds: no piece reaches over a joint, and the sum of scores is
    /// carried along as the search would round it.
    func appendWords(
        _ text: Span<UInt8>, _ joints: PieceJoints, _ workspace: inout ModelWorkspace, _ cache: PieceCache,
        into output: inout TokenOutput
    ) throws(TokenizerError) {
        var sum = 0.0
        var start = 0
        while start < text.count {
            let end = joints.end(of: text, from: start)
            let word = text.extracting(start..<end)
            start = end
            let isShort = word.count <= PieceCache.longestWord && sum.magnitude < UnigramModel.largestSum
            let key = isShort ? PieceCache.key(word) : nil
            let first = output.ids.count
            if let key, cache.append(key, to: &output.ids) {
                for index in first..<output.ids.count { sum = rounded(sum + pieceScores[Int(output.ids[index])]) }
                continue
            }
            workspace.lattice.reset(word.count, sum)
            search(word, &workspace.lattice, rounds: rules != nil)
            sum = workspace.lattice.score(at: word.count)
            let margin = workspace.lattice.trace()
            let path = workspace.lattice.path
            output.spans.removeAll(keepingCapacity: true)
            try emit(word, path, into: &output)
            if let key, hasSumOfTokens(path), margin > UnigramModel.safeMargin {
                cache.store(key, output.ids[first...])
            }
        }
    }

    /// Returns whether the scores of the tokens that the path becomes are those of its steps.
    private func hasSumOfTokens(_ path: [UnigramLattice.Step]) -> Bool {
        var wasUnknown = false
        for step in path {
            let isUnknown = step.id == unknown ?? -1
            if isUnknown, wasUnknown || rules == nil || fallsBackToBytes { return false }
            wasUnknown = isUnknown
        }
        return true
    }

    @inline(__always)
    private func rounded(_ sum: Double) -> Double { rules == nil ? sum : Double(Float(sum)) }
}
