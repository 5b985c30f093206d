extension String {
    /// The text in lower case as Python has it: every scalar by its full mapping, and a capital sigma at the end of a
    /// word as ς (Unicode 16, chapter 3.13, Final_Sigma).
    package var lowercasedWithFinalSigma: String {
        var result = String.UnicodeScalarView()
        for index in unicodeScalars.indices {
            let scalar = unicodeScalars[index]
            if scalar == "Σ" {
                result.append(endsWord(index) ? "ς" : "σ")
            } else {
                result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return String(result)
    }

    /// Returns whether a letter with case stands before `index` and none behind it, what counts for neither left out.
    private func endsWord(_ index: Index) -> Bool {
        let before = unicodeScalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = unicodeScalars[unicodeScalars.index(after: index)...].first { !$0.properties.isCaseIgnorable }
        return before?.properties.isCased == true && after?.properties.isCased != true
    }
}
