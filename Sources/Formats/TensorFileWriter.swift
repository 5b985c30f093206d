internal import MartletJSON
import MartletPlatform
package import MartletTensors

/// A tensor that is going to be written.
package struct PlannedTensor: Sendable {
    package let name: String
    package let type: ElementType
    package let shape: Shape
    /// Blocks that are not computed with, in place of `type`.
    package let blocks: WrittenBlocks?

    package init(name: String, type: ElementType, shape: Shape, blocks: WrittenBlocks? = nil) {
        (self.name, self.type, self.shape, self.blocks) = (name, type, shape, blocks)
    }

    /// The size of the elements in bytes.
    package var bytes: Int { (blocks?.block ?? type.block).bytes(of: shape.elements) }

    /// True where elements are stored in blocks.
    package var isBlockQuantized: Bool { blocks != nil || type.isBlockQuantized }
}

/// A writer of the tensors of one file one after another, so that never more than one has to be in memory.
///
///     var writer = try GGUF.writer(for: plan, metadata: metadata, to: path)
///     for planned in writer.plan { try writer.write(convert(planned)) }
///     try writer.finish()
///
/// The file appears at its place when ``finish()`` has returned; before, and without it, nothing does.
package struct TensorFileWriter: ~Copyable {
    /// The tensors, in the order in which they must be written.
    package let plan: [PlannedTensor]
    private var file: AtomicFile
    private let alignment: Int
    private var written = 0

    private init(_ file: consuming AtomicFile, _ plan: [PlannedTensor], _ alignment: Int) {
        self.file = file
        (self.plan, self.alignment) = (plan, alignment)
    }

    /// Begins a file with its header.
    static func begin(
        _ path: String, header: [UInt8], plan: [PlannedTensor], alignment: Int
    ) throws(FormatError) -> TensorFileWriter {
        do {
            var file = try AtomicFile(path)
            try file.append(header)
            return TensorFileWriter(file, plan, alignment)
        } catch {
            throw FormatError(error)
        }
    }

    /// Writes the next tensor of the plan.
    ///
    /// - Precondition: its type and shape are the planned ones.
    /// - Throws: ``FormatError`` with the system's reason. So does ``finish()``.
    package mutating func write(_ tensor: Tensor) throws(FormatError) {
        precondition(written < plan.count, "TensorFileWriter: more tensors than the \(plan.count) planned")
        let planned = plan[written]
        precondition(
            tensor.type == planned.type && tensor.shape == planned.shape && planned.blocks == nil,
            "TensorFileWriter: \(tensor.shape) \(tensor.type) for \(planned.name), planned as \(planned.shape) \(planned.type)"
        )
        try end { file throws(FileError) in try file.append(tensor) }
    }

    /// Writes the next tensor of the plan, whose blocks are made already.
    package mutating func write(encoded: Storage) throws(FormatError) {
        precondition(
            written < plan.count && plan[written].blocks != nil && encoded.bytes == plan[written].bytes,
            "TensorFileWriter: \(encoded.bytes) bytes of blocks that are not planned")
        try end { file throws(FileError) in try file.append(encoded) }
    }

    /// Writes the elements of the next tensor by `append`, and goes on to the one after it.
    private mutating func end(_ append: (inout AtomicFile) throws(FileError) -> Void) throws(FormatError) {
        do {
            try append(&file)
            try file.pad(to: alignment)
        } catch {
            throw FormatError(error)
        }
        written += 1
    }

    /// Puts the file in its place.
    ///
    /// - Parameter flushed: see ``AtomicFile/commit(flushed:)``.
    /// - Precondition: every planned tensor is written.
    package consuming func finish(flushed: Bool = true) throws(FormatError) {
        precondition(written == plan.count, "TensorFileWriter: \(written) tensors of the \(plan.count) planned")
        do { try file.commit(flushed: flushed) } catch { throw FormatError(error) }
    }
}

extension TensorFileWriter {
    /// Writes tensors that are in memory, whose order is theirs and not the plan's.
    consuming func writeAll(_ tensors: [(name: String, tensor: Tensor)]) throws(FormatError) {
        let byName = Dictionary(uniqueKeysWithValues: tensors.map { (ExactKey($0.name), $0.tensor) })
        for planned in plan {
            if let tensor = byName[ExactKey(planned.name)] { try write(tensor) }
        }
        try finish()
    }
}

extension PlannedTensor {
    init(_ name: String, _ tensor: Tensor) { self.init(name: name, type: tensor.type, shape: tensor.shape) }

    /// Adds the offence that a name occurs twice.
    static func checkNames(_ plan: [PlannedTensor], _ offences: inout Offences) {
        var names: Set<ExactKey> = []
        for planned in plan where !names.insert(ExactKey(planned.name)).inserted {
            offences.add("two tensors are called \(planned.name.quoted)")
        }
    }
}
