import ArgumentParser
import MartletTokenizers

/// The options for the length of texts in `martlet tokenize`: as they are unless something else is asked for.
struct LengthOptions: ParsableArguments {
    @Option(help: "The maximum number of tokens of a text, special ones included; \"file\" takes the tokenizer file's.")
    var truncation: String?

    @Option(help: "Return what was cut off as further texts, each of which repeats this many tokens of the one before.")
    var stride: Int?

    @Flag(help: "Pad short texts to the length of --truncation, or to the tokenizer file's.")
    var padding = false

    /// True where anything is asked for.
    var areGiven: Bool { truncation != nil || stride != nil || padding }

    /// The lengths that are asked for, with what the file of `tokenizer` says of the rest.
    ///
    /// - Throws: ``UsageError`` for what neither the command line nor the file says; what encoding throws.
    func settings(of tokenizer: Tokenizer, addsSpecialTokens: Bool) throws -> LengthSettings {
        var cut = try cut(tokenizer)
        if let cut, truncation != "file", addsSpecialTokens {
            let special = try tokenizer.encode("").count
            guard cut.maximumLength >= special else {
                throw UsageError(
                    "--truncation is \(cut.maximumLength), but the special tokens alone are \(special): add --no-special"
                )
            }
        }
        if let stride {
            guard stride >= 0 else { throw UsageError("--stride is \(stride), but no less than 0 tokens are repeated") }
            guard cut != nil else { throw UsageError("--stride needs --truncation: without it nothing is cut off") }
            cut?.stride = stride
        }
        return LengthSettings(
            truncation: cut, padding: try filling(tokenizer, cut), keepsOverflow: stride != nil, areGiven: areGiven)
    }

    private func cut(_ tokenizer: Tokenizer) throws(UsageError) -> Truncation? {
        guard let truncation else { return nil }
        if truncation == "file" {
            guard let own = tokenizer.truncation else {
                throw UsageError("the tokenizer's file says nothing of a truncation; give --truncation a number")
            }
            return own
        }
        guard let length = Int(truncation), length >= 0 else {
            throw UsageError("--truncation is \"\(truncation)\", but takes a number of tokens or \"file\"")
        }
        guard var own = tokenizer.truncation else { return Truncation(maximumLength: length) }
        (own.maximumLength, own.stride) = (length, 0)
        return own
    }

    /// No model reads more.
    private static let longestFilling = 1 << 24

    private func filling(_ tokenizer: Tokenizer, _ cut: Truncation?) throws(UsageError) -> Padding? {
        guard padding else { return nil }
        var own = tokenizer.padding ?? Padding()
        if tokenizer.padding == nil, let id = tokenizer.specialTokens.padding {
            (own.id, own.token) = (id, tokenizer.token(id) ?? own.token)
        }
        if case .fixed = own.length, truncation == nil || truncation == "file" { return own }
        guard let cut else { throw UsageError("--padding needs --truncation: the tokenizer's file says no length") }
        guard cut.maximumLength <= LengthOptions.longestFilling else {
            throw UsageError(
                "--padding fills texts up to --truncation, which is \(cut.maximumLength), but at most \(LengthOptions.longestFilling)"
            )
        }
        own.length = .fixed(cut.maximumLength)
        return own
    }
}

/// The settings of truncation and padding.
struct LengthSettings {
    let truncation: Truncation?
    let padding: Padding?
    /// True where what was cut off is wanted.
    let keepsOverflow: Bool
    let areGiven: Bool

    /// The text of `encoding`, and where they are wanted the parts that were cut off, all filled up.
    func windows(of encoding: Encoding) -> [Encoding] {
        var windows = [encoding] + (keepsOverflow ? encoding.overflow : [])
        for index in windows.indices { windows[index].overflow = [] }
        padding?.apply(to: &windows)
        return windows
    }
}
