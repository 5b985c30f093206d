import MartletFormats
package import MartletJSON
package import MartletPlatform

/// The record of a step, as `log.jsonl` has it.
package struct StepRecord: Sendable, Equatable {
    package var step: Int
    /// The mean of the loss over the targets, in nats.
    package var loss: Double
    package var learningRate: Double
    /// The number of tokens read since the beginning of the run.
    package var tokens: Int
    /// The time of computing since the beginning of the run, in seconds.
    package var seconds: Double
    /// The gradient norm before clipping.
    package var gradientNorm: Double
    package var validationLoss: Double?
    /// The other measures of an evaluation.
    package var measures: [Measure] = []
    /// The tensor for which the step was skipped.
    package var skipped: String?

    package var json: JSON {
        var object = JSONObject()
        object["step"] = .integer(step)
        object["loss"] = Self.number(loss)
        object["learning_rate"] = Self.number(learningRate)
        object["tokens"] = .integer(tokens)
        object["seconds"] = Self.number((seconds * 1e4).rounded() / 1e4)
        object["grad_norm"] = Self.number(gradientNorm)
        if let validationLoss { object["validation_loss"] = Self.number(validationLoss) }
        for measure in measures { object["validation_" + measure.name] = Self.number(measure.value) }
        if let skipped { object["skipped"] = .string(skipped) }
        return .object(object)
    }

    package init(
        step: Int, loss: Double, learningRate: Double, tokens: Int, seconds: Double, gradientNorm: Double,
        validationLoss: Double? = nil, skipped: String? = nil
    ) {
        (self.step, self.loss, self.learningRate, self.tokens) = (step, loss, learningRate, tokens)
        (self.seconds, self.gradientNorm) = (seconds, gradientNorm)
        (self.validationLoss, self.skipped) = (validationLoss, skipped)
    }

    package init?(_ json: JSON) {
        guard let step = json["step"]?.integerValue, let tokens = json["tokens"]?.integerValue else { return nil }
        func number(_ key: String) -> Double { json[key]?.doubleValue ?? .nan }
        self.init(
            step: step, loss: number("loss"), learningRate: number("learning_rate"), tokens: tokens,
            seconds: number("seconds"), gradientNorm: number("grad_norm"),
            validationLoss: json["validation_loss"]?.doubleValue, skipped: json["skipped"]?.stringValue)
        measures = (json.objectValue?.members ?? []).compactMap { key, value in
            guard key.hasPrefix("validation_"), key != "validation_loss", let number = value.doubleValue else {
                return nil
            }
            return Measure(String(key.dropFirst("validation_".count)), number)
        }
    }

    /// JSON has no word for what is not finite.
    private static func number(_ value: Double) -> JSON { value.isFinite ? .number(value) : .null }
}

/// The log of a run, `log.jsonl`: a line a step.
package final class RunLog {
    private let path: String
    private let descriptor: Int32
    package private(set) var records: [StepRecord]

    /// Opens the log and forgets what is after `step`: those steps will be done again.
    ///
    /// - Throws: ``FileError``.
    package init(_ path: String, upTo step: Int) throws(FileError) {
        self.path = path
        records = []
        if fileExists(path) {
            let lines = try fileBytes(path).split(separator: 10)
            records = lines.compactMap { line in (try? JSON(parsing: Array(line))).flatMap { StepRecord($0) } }
                .filter { $0.step <= step }
        }
        try writeFile(records.flatMap { Self.line($0) }, to: path)
        descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static func line(_ record: StepRecord) -> [UInt8] { record.json.serialized() + [10] }

    /// Adds a step, in one write: a line is there or not.
    package func append(_ record: StepRecord) throws(FileError) {
        records.append(record)
        let line = Self.line(record)
        let written = unsafe line.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        guard written == line.count else { throw FileError(path: path, operation: "write", code: errno) }
    }
}
