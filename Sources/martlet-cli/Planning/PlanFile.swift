import MartletJSON
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors

/// The files that `plan` reads and writes.
enum PlanFile {
    /// The model at `path`: a config.json, a folder, or a GGUF. Only headers are read; where there are weights, their
    /// types are known.
    static func model(at path: String) throws -> DescribedModel {
        if path.hasSuffix(".json") { return try DescribedModel(configuration: try JSON(contentsOf: path)) }
        if path.hasSuffix(".gguf") || !exists(path + "/config.json") {
            return try DescribedModel(try ModelFile(path: path))
        }
        let described = try DescribedModel(configuration: try JSON(contentsOf: path + "/config.json"))
        let holdsWeights = ["model.safetensors", "model.safetensors.index.json"].contains {
            exists("\(path)/\($0)")
        }
        guard holdsWeights, described.architecture != nil else { return described }
        var model = try DescribedModel(try ModelFile(path: path))
        model.ignored += described.ignored.filter { !model.ignored.contains($0) }
        return model
    }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// "24GB" is 24 · 10⁹ bytes, "16GiB" 16 · 2³⁰.
    static func bytes(_ text: String) throws -> Count {
        let units: [(String, Double)] = [
            ("TiB", 0x1p40), ("GiB", 0x1p30), ("MiB", 0x1p20), ("KiB", 0x1p10), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6),
            ("kB", 1e3),
            ("B", 1),
        ]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }),
            let number = Double(text.dropLast(unit.0.utf8.count)), number > 0, number * unit.1 < 1e30
        else { throw UsageError("\(text) is no size: give a number with B, kB, MB, GB, TB or KiB, MiB, GiB, TiB") }
        return Count(number * unit.1)
    }

    /// The facts of how a report came about: the command, when, by which version.
    static var facts: [(name: String, value: String)] {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe localtime_r(&now, &parts)
        func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + "\(value)" }
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let clock = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min))"
        let command = (["martlet"] + CommandLine.arguments.dropFirst()).joined(separator: " ")
        return [("Command", command), ("Date", "\(date) \(clock)"), ("Version", Version.text)]
    }

    /// Writes a text to a file.
    static func write(_ text: String, to path: String) throws {
        let bytes = Array(text.utf8)
        func failure() -> FileError {
            FileError(path: path, operation: "write", reason: unsafe String(cString: strerror(errno)))
        }
        guard let file = unsafe fopen(path, "w") else { throw failure() }
        let written = unsafe fwrite(bytes, 1, bytes.count, file)
        guard unsafe fclose(file) == 0, written == bytes.count else { throw failure() }
    }
}

/// Scaling laws at the command line.
enum PlanScaling {
    /// Best sizes and their loss for so many operations, by each published law.
    static func answers(compute: Double) -> [(name: String, quantity: Quantity)] {
        var answers: [(name: String, quantity: Quantity)] = []
        for law in ParametricLaw.published {
            let (n, d) = (law.optimalParameters(compute: compute), law.optimalTokens(compute: compute))
            answers += [
                ("\(law.name): parameters", n), ("\(law.name): tokens", d),
                ("\(law.name): loss", law.loss(parameters: n.amount, tokens: d.amount)),
            ]
        }
        let days = TrainingOperations.petaflopDays(compute)
        return answers + [
            ("petaflop-days", days), ("Kaplan: parameters", Kaplan.optimalParameters(petaflopDays: days.amount)),
        ]
    }

    /// The answers as a report.
    static func page(_ answers: [(name: String, quantity: Quantity)], compute: Double) -> String {
        ReportPage(.init("Best for \(compute) operations", PlanFile.facts), body: ReportPage.answers(answers)).text
    }

    /// Fits runs of a CSV whose first line names the columns parameters, tokens and loss.
    static func fit(path: String, _ form: ResultForm) throws {
        let lines = try Input.text(path).split(whereSeparator: \.isNewline)
        let header = lines.first?.split(separator: ",").map { $0.trimmingBlanks() } ?? []
        guard let n = header.firstIndex(of: "parameters"), let d = header.firstIndex(of: "tokens"),
            let l = header.firstIndex(of: "loss")
        else { throw InputError("\(path): the first line must name the columns parameters, tokens and loss") }
        var runs: [RunObservation] = []
        for (number, line) in lines.enumerated().dropFirst() {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false).map {
                Double($0.trimmingBlanks())
            }
            guard fields.count > max(n, d, l), let parameters = fields[n], let tokens = fields[d], let loss = fields[l]
            else {
                throw InputError("\(path), line \(number + 1): three numbers are needed")
            }
            runs.append(RunObservation(parameters: parameters, tokens: tokens, loss: loss))
        }
        let intervals = try ScalingFit(runs).bootstrap()
        if form.isJSON {
            var object = JSONObject()
            for interval in intervals {
                object[interval.name] = [
                    "value": .number(interval.value), "low": .number(interval.low), "high": .number(interval.high),
                ]
            }
            return form.write(.object(object))
        }
        Output.write("L = E + A / N^alpha + B / D^beta over \(runs.count) runs, middle 80 % of 200 refits\n")
        for interval in intervals {
            Output.write("  \(interval.name): \(interval.value) (\(interval.low) to \(interval.high))\n")
        }
    }
}

extension Substring {
    fileprivate func trimmingBlanks() -> String {
        String(drop(while: { $0 == " " || $0 == "\t" }).reversed().drop(while: { $0 == " " || $0 == "\t" }).reversed())
    }
}
