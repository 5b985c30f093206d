import MartletFormats
import MartletModels
import MartletPlatform
import MartletTensors

/// A teacher's results for texts, on disk: computed once, and found again by every run that asks the same of it.
struct TeacherCache: Sendable {
    /// Of everything that the teacher's answers depend on besides the text.
    private let key: Fingerprint
    private let folder: String
    /// Texts to a file: what an interrupted run has computed is kept in such parts.
    private static let part = 4_096
    private static let name = "rows"
    private static let files = ["config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json"]

    /// - Throws: ``FileError`` for files of the teacher that cannot be read.
    init(of teacher: ModelFile, in folder: String) throws(FileError) {
        var key = Fingerprint()
        if case .directory(let path) = teacher.container {
            for name in TeacherCache.files where fileExists("\(path)/\(name)") {
                key.add(name)
                try key.add(file: "\(path)/\(name)")
            }
        }
        for path in teacher.tensors.paths { try key.add(file: path) }
        (self.key, self.folder) = (key, folder)
    }

    /// One row of numbers for each of `count` texts.
    ///
    /// - Parameters:
    ///   - text: adds the text at a place to a key.
    ///   - compute: the rows of some of the texts, all of one width.
    /// - Throws: what `compute` throws, and what writing throws.
    func rows(
        _ count: Int, _ text: (Int, inout Fingerprint) -> Void, compute: (Range<Int>) throws -> [[Float]]
    ) throws -> [[Float]] {
        var all: [[Float]] = []
        all.reserveCapacity(count)
        for first in stride(from: 0, to: count, by: TeacherCache.part) {
            let range = first..<min(first + TeacherCache.part, count)
            var key = key
            for index in range { text(index, &key) }
            let path = "\(folder)/\(key).teacher"
            if let known = read(path, rows: range.count) {
                all += known
                continue
            }
            let rows = try compute(range)
            let (width, numbers) = (rows.first?.count ?? 0, rows.flatMap { $0 })
            precondition(
                rows.count == range.count && numbers.count == rows.count * width,
                "TeacherCache: \(rows.count) rows of \(numbers.count) numbers for \(range.count) texts")
            try Folder.make(folder)
            try Safetensors.write(
                [(TeacherCache.name, Tensor(numbers, shape: [rows.count, width]))], to: path)
            all += rows
        }
        return all
    }

    /// Nil where there is no such file, or one of another form.
    private func read(_ path: String, rows: Int) -> [[Float]]? {
        guard fileExists(path),
            let tensor = try? Safetensors(contentsOf: path).tensors.tensor(TeacherCache.name),
            tensor.type == .f32, tensor.shape.rank == 2, tensor.shape[0] == rows
        else { return nil }
        let (values, width) = (tensor.values, tensor.shape.width)
        return (0..<rows).map { Array(values[$0 * width..<($0 + 1) * width]) }
    }
}
