import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// A classifier whose logits a student learns from, computed once before training: it is let go before the first step.
struct Teacher {
    private let encoder: Encoder
    /// For each class of the student, the teacher's.
    private let places: [Int]
    private let device: Device
    private static let rowsPerPass = 4_096

    /// - Throws: ``RunError`` for a model that does not classify, knows other classes, or reads other tokens; what
    ///   loading throws.
    init(path: String, names: LabelNames, tokenizer: JSON, on device: Device) throws {
        let file = try ModelFile(path: path)
        guard case .encoder(let encoder) = try file.model(on: device), case .sequence = file.architecture.head else {
            throw RunError("teacher.from: \(path) does not classify texts")
        }
        let own = path + "/tokenizer.json"
        guard fileExists(own), try JSON(contentsOf: own) == tokenizer else {
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
    func teach(_ examples: [Example]) -> [Example] {
        var taught: [Example] = []
        let settings = LabelledStream.Settings(rows: examples.reduce(Teacher.rowsPerPass) { max($0, $1.rows) }, seed: 0)
        for batch in LabelledStream.batches(of: examples, settings) {
            var state = Uncached()
            let hidden = encoder.hidden(batch.rows, &state, on: device)
            guard let logits = encoder.head.labelLogits(hidden, batch.rows) else { return examples }
            let (values, width) = (logits.values, logits.shape.width)
            for row in 0..<batch.examples {
                var example = examples[taught.count]
                example.teacher = places.map { values[row * width + $0] }
                taught.append(example)
            }
        }
        return taught
    }
}
