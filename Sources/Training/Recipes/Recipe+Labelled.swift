extension Recipe.Objective {
    /// True where labelled files are learnt from, not plain texts.
    package var isLabelled: Bool { labelled != nil }

    package var labelled: LabelledObjective? { if case .labelled(let objective) = self { objective } else { nil } }
}

extension Recipe.LabelledData {
    static func read(_ section: RecipeReader) -> Recipe.LabelledData {
        let folder = section.string("folder")
        var data = Recipe.LabelledData()
        data.training = files(section, "sources", folder)
        if data.training.isEmpty && !section.has("sources") { section.reject("\(section.name("sources")) is missing") }
        data.validation = files(section, "validation", folder)
        data.test = files(section, "test", folder)
        data.holdout = section.number("holdout", in: 0...0.9) ?? 0
        if data.holdout > 0 && !data.validation.isEmpty {
            section.reject("\(section.name("holdout")) and \(section.name("validation")) exclude each other")
        }
        return data
    }

    private static func files(_ section: RecipeReader, _ key: String, _ folder: String?) -> [LabelledFile] {
        (section.sections(key) ?? []).flatMap { source -> [LabelledFile] in
            let format = source.choice(
                "format",
                ["csv": .csv, "tsv": .tsv, "jsonl": .jsonl, "json": .json, "conll": .conll, "squad": .squad]
                    as KeyValuePairs<String, LabelledFile.Format>)
            let columns = source.strings("columns")
            return source.required("paths", source.strings("paths"), []).compactMap { name -> LabelledFile? in
                let isWhole = name.utf8.first == UInt8(ascii: "/")
                let path = isWhole ? name : folder.map { "\($0)/\(name)" } ?? name
                do throws(DataError) { return try LabelledFile(path, format, columns: columns) } catch {
                    source.reject("\(error)")
                    return nil
                }
            }
        }
    }
}
