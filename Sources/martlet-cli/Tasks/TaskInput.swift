import ArgumentParser
import Martlet
import MartletDistributed
import MartletJSON
import MartletModels
import MartletTensors
import MartletTokenizers

/// The input that the verbs which answer line by line have in common: the model, the lines, how results are written.
struct TaskInput: ParsableArguments {
    @OptionGroup var model: ModelOptions
    @OptionGroup var ranks: RankOptions

    @Argument(help: "A file with one text per line; standard input when absent or -.")
    var file = "-"

    @Option(help: "Quantize the matrices on loading: q8_0 multiplies weights and activations as int8.")
    var weights: MatrixType?

    enum MatrixType: String, ExpressibleByArgument, CaseIterable { case eightBits = "q8_0" }

    @Flag(help: "JSON: one object per line, as results come; of embed, one array of arrays.")
    var json = false

    @Flag(
        help: "The same as --json where that is one object per line; else one object per line in place of a document.")
    var jsonLines = false

    func validate() throws { try ResultForm.check(json: json, jsonLines: jsonLines) }

    /// The results that are written for one line.
    struct Result {
        let json: JSON
        let words: String
    }

    /// - Throws: ``UsageError`` where no model is named: the one that ships cannot do the `task`.
    func requireModel(_ verb: String, _ task: String, example: String) throws(UsageError) {
        guard model.model == nil else { return }
        throw UsageError(
            "\(verb) needs a model that \(task), which the one that ships does not: give one with -m, as in martlet \(verb) -m \(example)"
        )
    }

    /// Works on the lines some at a time, on all ranks in turn, and writes about each as soon as it is done, in their
    /// order. A blank line has the result `blank`; a line that cannot be done is named by its number, and the others
    /// are kept.
    ///
    /// - Parameter end: called where everything is written, on the rank that has written it.
    /// - Throws: ``UsageError`` when there is no line, ``ReportedFailure`` when some could not be done.
    func eachLine(
        batch: Int = 32, blank: Result, _ write: ((Result?, _ number: Int) -> Void)? = nil,
        _ work: ([String]) throws -> [Result], end: () -> Void = {}
    ) throws {
        try Ranks.join { communicator in
            try Ranks.requireFile(file, over: communicator)
            var parts = try LineParts(file, batch: batch)
            var progress = Progress()
            var (number, failures) = (0, 0)
            func take(_ results: [Result?]) {
                for result in results {
                    number += 1
                    if result == nil { failures += 1 }
                    if let write { write(result, number) } else if let result { self.write(result.json, result.words) }
                }
                progress.report("\(number) lines")
            }
            if communicator.size == 1 {
                while let part = try parts.next() {
                    take(results(part.lines, after: part.first, blank: blank, work))
                }
            } else {
                try Ranks.inTurn(over: communicator) {
                    try parts.next()
                } _: {
                    TaskInput.encoded(results($0.lines, after: $0.first, blank: blank, work))
                } handOn: {
                    take(try TaskInput.decoded($0))
                }
            }
            progress.end()
            guard parts.count > 0 else { throw UsageError("there is no line to work on") }
            guard communicator.rank == 0 else { return }
            end()
            if failures > 0 { throw ReportedFailure() }
        }
    }

    /// The lines of a file in parts of at most so many.
    private struct LineParts: ~Copyable {
        private var reader: InputLines
        private let batch: Int
        private var lines: ArraySlice<String> = []
        /// The number of lines so far.
        private(set) var count = 0

        init(_ path: String, batch: Int) throws(FileError) {
            reader = try InputLines(path, batchSize: 1)
            self.batch = batch
        }

        /// - Returns: also how many lines come before.
        mutating func next() throws(FileError) -> (lines: [String], first: Int)? {
            if lines.isEmpty { lines = (try reader.nextBatch() ?? [])[...] }
            guard !lines.isEmpty else { return nil }
            let part = Array(lines.prefix(batch))
            lines = lines.dropFirst(part.count)
            defer { count += part.count }
            return (part, count)
        }
    }

    /// Results as one rank sends them to another.
    private static func encoded(_ results: [Result?]) -> [UInt8] {
        JSON.array(results.map { $0.map { .array([$0.json, .string($0.words)]) } ?? .null }).serialized()
    }

    private static func decoded(_ bytes: [UInt8]) throws -> [Result?] {
        try (JSON(parsing: bytes).arrayValue ?? []).map { result in
            guard let parts = result.arrayValue, parts.count == 2 else { return nil }
            return Result(json: parts[0], words: parts[1].stringValue ?? "")
        }
    }

    /// Says how many texts were cut to what the model reads.
    func noteCuts(_ count: Int, limit: Int?) {
        guard count > 0, let limit else { return }
        let texts = count == 1 ? "1 text was" : "\(count) texts were"
        Output.note("martlet: \(texts) longer than \(limit) tokens, which is what the model reads, and cut there")
    }

    /// The results of some lines; nil, and a word on standard error, for those that cannot be done.
    private func results(_ lines: [String], after number: Int, blank: Result, _ work: ([String]) throws -> [Result])
        -> [Result?]
    {
        let places = lines.indices.filter { !lines[$0].allSatisfy(\.isWhitespace) }
        var results: [Result?] = Array(repeating: blank, count: lines.count)
        if let all = try? work(places.map { lines[$0] }), all.count == places.count {
            for (place, result) in zip(places, all) { results[place] = result }
            return results
        }
        // One of them cannot be done: each by itself.
        for place in places {
            do {
                results[place] = try work([lines[place]]).first
            } catch {
                Output.note("martlet: line \(number + place + 1): \(error)")
                results[place] = nil
            }
        }
        return results
    }

    /// The model's files, its tokenizer, and the device to compute on.
    ///
    /// - Parameter kind: of the model that ships, where none was named.
    func load(orShipped kind: EmbeddedModel.Kind = .writing) throws -> (
        file: ModelFile, tokenizer: Tokenizer, device: Device
    ) {
        let file = try modelFile(orShipped: kind)
        return (file, try ModelText.tokenizer(of: file), Device(threads: model.threads))
    }

    /// The model's files, as they are to be loaded.
    func modelFile(orShipped kind: EmbeddedModel.Kind = .writing) throws -> ModelFile {
        try ranks.launch(threads: model.threads)
        return try TaskInput.modelFile(model, weights, orShipped: kind)
    }

    /// The files of a model, with its matrices rounded when they are loaded.
    static func modelFile(
        _ model: ModelOptions, _ weights: MatrixType?, orShipped kind: EmbeddedModel.Kind = .writing
    ) throws -> ModelFile {
        var file = try model.file(orShipped: kind)
        if weights == .eightBits { file.matrices = .q8_0 }
        return file
    }

    /// Writes a line: a JSON object, or the words that a person reads.
    func write(_ object: JSON, _ words: String) {
        Output.write((json || jsonLines ? object.text(.compact) : words) + "\n")
    }
}

extension JSON {
    /// A score as it was computed, no longer than needed to read it back.
    static func score(_ value: Float) -> JSON { .number(Double("\(value)") ?? Double(value)) }
}
