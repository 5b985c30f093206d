/// The protocol of perplexity: a text in windows that slide, each token predicted once.
///
/// Each token counts in the first window that holds it, so that all but the first window's have at least window −
/// stride tokens before them. The text's first token has nothing before it and does not count; nor does, at stride =
/// window, the first of each window. `evaluate` and `quantize --report` measure by it.
package struct TextWindows: Sendable {
    /// A stretch of the text, whose tokens from `first` on are predicted.
    package struct Window: Sendable, Equatable {
        package let tokens: [Int32]
        package let first: Int
    }

    /// The length of a window in tokens.
    package let window: Int
    /// The tokens from the beginning of a window to that of the next.
    package let stride: Int

    package init(window: Int, stride: Int) {
        precondition(window >= 2 && stride >= 1 && stride <= window, "TextWindows: window \(window), stride \(stride)")
        (self.window, self.stride) = (window, stride)
    }

    /// The windows that are used where nothing is said: at most 1,024 tokens of the context, moved by half.
    package init(context: Int?, window: Int? = nil, stride: Int? = nil) {
        let window = max(2, min(window ?? 1_024, context ?? window ?? 1_024))
        self.init(window: window, stride: stride ?? max(1, window / 2))
    }

    /// The windows of a text.
    package func callAsFunction(_ tokens: [Int32]) -> [Window] {
        var (windows, previous): ([Window], Int) = ([], 0)
        for begin in Swift.stride(from: 0, to: tokens.count, by: stride) {
            let end = min(begin + window, tokens.count)
            let first = max(previous, begin + 1)
            if first < end { windows.append(Window(tokens: Array(tokens[begin..<end]), first: first - begin)) }
            previous = end
            if end == tokens.count { break }
        }
        return windows
    }
}
