extension UnigramModel {
    /// Beyond this a rounded sum is too coarse for words to be remembered.
    private static let largestSum = 16_384.0
    /// A word is remembered when each choice on its best way was won by this much: roundings of a float sum below
    /// ``largestSum`` cannot turn it over in any other place.
    static let safeMargin = 0.15

    /// Appends the tokens of a text word by word, each beginning at a run of U+2581.
    ///
    /// Exactly what the search over the whole text finds: no piece reaches over a word's beginning, and the sum of scores is carried
    /// along as the search would round it.
    func appendWords(
        _ text: Span<UInt8>, _ workspace: inout ModelWorkspace, _ cache: PieceCache, into output: inout TokenOutput
    ) throws(TokenizerError) {
        var sum = 0.0
        var start = 0
        while start < text.count {
            let end = UnigramModel.endOfWord(text, from: start)
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
            let (path, margin) = workspace.lattice.pathWithMargin()
            output.spans.removeAll(keepingCapacity: true)
            try emit(word, path, into: &output)
            let isKnown = path.allSatisfy { $0.id >= 0 && $0.id != unknown ?? -1 }
            if let key, isKnown, margin > UnigramModel.safeMargin { cache.store(key, output.ids[first...]) }
        }
    }

    @inline(__always)
    private func rounded(_ sum: Double) -> Double { rules == nil ? sum : Double(Float(sum)) }

    /// The end of a run of the sign and of what follows it up to the next.
    private static func endOfWord(_ text: Span<UInt8>, from start: Int) -> Int {
        func isSign(_ index: Int) -> Bool {
            index + 2 < text.count && text[index] == 0xE2 && text[index + 1] == 0x96 && text[index + 2] == 0x81
        }
        var index = start
        while isSign(index) { index += 3 }
        while index < text.count, !isSign(index) { index += 1 }
        return index
    }
}
