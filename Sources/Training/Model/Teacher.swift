import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import MartletTokenizers

/// A classifier whose logits a student learns from, computed once before training: it is let go before the first step.
struct Teacher {
    private let encoder: Encoder
    /// The teacher's class for each class of the student.
    private let places: [Int]
    private let device: Device
    private static let rowsPerPass = 4_096

    /// - Throws: ``RunError`` for a model that does not classify, knows other classes, or reads other tokens; what
    ///   loading throws.
    init(_ file: ModelFile, names: LabelNames, tokenizer: JSON, on device: Device) throws {
        let path = file.path
        guard case .encoder(let encoder) = try file.model(on: device), case .sequence = file.architecture.head else {
            throw RunError("teacher.from: \(path) does not classify texts")
        }
        guard let own = try SlowTokenizer.jsonOrFile(in: path), own == tokenizer else {
            throw RunError("teacher.from: \(path) has another tokenizer than the student")
        }
        let known = file.settings["id2label"]?.objectValue?.members ?? []
        places = try names.names.map { name in
            let place = known.first { $0.value.stringValue?.hasSameBytes(as: name) ?? false }
            guard let number = place.flatMap({ Int($0.key) }) else {
                throw RunError("teacher.from: \(path) does not know the class \(name.quoted)")
            }
            return number
        }
        (self.encoder, self.device) = (encoder, device)
    }

    /// The examples with the teacher's logits.
    func teach(_ examples: [Example], _ cache: TeacherCache) throws -> [Example] {
        let logits = try cache.rows(examples.count) { index, key in
            key.add(examples[index].tokens)
            key.add(examples[index].segments ?? [])
        } compute: {
            self.logits(Array(examples[$0]))
        }
        return zip(examples, logits).map { example, logits in
            var example = example
            example.teacher = places.map { logits[$0] }
            return example
        }
    }

    /// The logits of all its classes, for each example.
    private func logits(_ examples: [Example]) -> [[Float]] {
        var found: [[Float]] = []
        let settings = LabelledStream.Settings(rows: examples.reduce(Teacher.rowsPerPass) { max($0, $1.rows) }, seed: 0)
        for batch in LabelledStream.batches(of: examples, settings) {
            var state = Uncached()
            let hidden = encoder.hidden(batch.rows, &state, on: device)
            guard let logits = encoder.head.labelLogits(hidden, batch.rows) else { return [] }
            let (values, width) = (logits.values, logits.shape.width)
            found += (0..<batch.examples).map { Array(values[$0 * width..<($0 + 1) * width]) }
        }
        return found
    }
}

extension Fingerprint {
    fileprivate mutating func add(_ tokens: [Int32]) {
        add(tokens.flatMap { token in (0..<4).map { UInt8(truncatingIfNeeded: token >> ($0 * 8)) } })
    }
}
