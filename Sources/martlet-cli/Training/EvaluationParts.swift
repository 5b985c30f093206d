import MartletDistributed
import MartletJSON
import MartletModels
import MartletTensors
import MartletTokenizers

/// The sharing of records by ranks.
extension EvaluateCommand {
    /// The loading of the model where one is needed, and the ranks that share the work.
    struct Loading {
        let communicator: any Communicator
        private let load: () throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device)

        init(
            over communicator: any Communicator = Alone(),
            _ load: @escaping () throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device)
        ) {
            (self.communicator, self.load) = (communicator, load)
        }

        func callAsFunction() throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device) { try load() }
    }

    /// Works on the records some at a time, on all ranks in turn, and says how far it is.
    ///
    /// - Returns: what became of every record, on every rank.
    func inParts<Record, Result: SentAsJSON>(
        _ records: [Record], _ communicator: any Communicator, _ work: ([Record]) throws -> [Result]
    ) throws -> [Result] {
        var progress = Progress()
        var results: [Result] = []
        let starts = Array(Swift.stride(from: 0, to: records.count, by: EvaluateCommand.recordsPerPart))
        for first in Swift.stride(from: 0, to: starts.count, by: communicator.size) {
            var own: [Result] = []
            if first + communicator.rank < starts.count {
                let start = starts[first + communicator.rank]
                own = try work(Array(records[start..<min(start + EvaluateCommand.recordsPerPart, records.count)]))
            }
            results += try communicator.size == 1 ? own : shared(own, communicator)
            progress.report("\(results.count) of \(records.count) records")
        }
        progress.end()
        return results
    }

    /// The results of all ranks, in their order.
    private func shared<Result: SentAsJSON>(_ own: [Result], _ communicator: any Communicator) throws -> [Result] {
        let record = JSON.array(own.map(\.json)).serialized()
        return try communicator.gatherAll(record, .results).flatMap { record in
            try (JSON(parsing: record).arrayValue ?? []).map { json in
                guard let result = Result(json: json) else {
                    throw ModelError("a rank sent \(json.text()) as a result")
                }
                return result
            }
        }
    }

    /// The number of records in a part, large enough that texts of like lengths find each other.
    private static let recordsPerPart = 256
}

/// A result that one rank sends to the others.
protocol SentAsJSON {
    var json: JSON { get }
    init?(json: JSON)
}

extension JSON: SentAsJSON {
    var json: JSON { self }
    init?(json: JSON) { self = json }
}

extension String: SentAsJSON {
    var json: JSON { .string(self) }
    init?(json: JSON) {
        guard let text = json.stringValue else { return nil }
        self = text
    }
}

extension Double: SentAsJSON {
    var json: JSON { .number(self) }
    init?(json: JSON) {
        guard let number = json.doubleValue else { return nil }
        self = number
    }
}

extension Array: SentAsJSON where Element == String {
    var json: JSON { .array(map { .string($0) }) }
    init?(json: JSON) {
        guard let texts = json.arrayValue?.compactMap(\.stringValue) else { return nil }
        self = texts
    }
}
