internal import MartletJSON
package import MartletPlatform
package import MartletTensors

/// A safetensors file that several processes fill at once, each with the elements that it holds: the bytes are those of
/// a file that one of them writes alone.
package struct SharedTensorFile: Sendable {
    private let path: String
    private let header: [UInt8]
    /// The offset of each tensor's elements in the file, in bytes.
    private let offsets: [ExactKey: Int]
    private let bytes: Int

    /// - Throws: ``FormatError`` as ``Safetensors/writer(for:metadata:to:)``.
    package init(_ plan: [PlannedTensor], at path: String) throws(FormatError) {
        let (header, ordered) = try Safetensors.layout(plan, [], path)
        (self.path, self.header) = (path, header)
        var end = header.count
        var offsets: [ExactKey: Int] = [:]
        for planned in ordered {
            offsets[ExactKey(planned.name)] = end
            end += planned.bytes
        }
        (self.offsets, bytes) = (offsets, end)
    }

    /// Makes the file in its whole length, with its header alone. One process does so, before any other writes.
    ///
    /// - Throws: ``FileError`` with the system's reason.
    package func create() throws(FileError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw failure() }
        try unsafe header.span.withUnsafeBytes { bytes throws(FileError) in
            try unsafe write(bytes, at: 0, descriptor)
        }
        guard fsync(descriptor) == 0 else { throw failure() }
    }

    /// Writes parts of tensors, elements `first` and on of each, and has them on the disk when it returns.
    ///
    /// - Precondition: the names and the types are planned ones.
    /// - Throws: ``FileError`` with the system's reason, as for a full disk.
    package func write(_ parts: [(name: String, first: Int, elements: Tensor)]) throws(FileError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        for (name, first, elements) in parts {
            guard let offset = offsets[ExactKey(name)] else { preconditionFailure("\(path): no place for \(name)") }
            let place = offset + elements.type.block.bytes(of: first)
            let source = unsafe UnsafeRawBufferPointer(start: elements.pointer, count: elements.bytes)
            try unsafe write(source, at: place, descriptor)
            _ = elements.storage  // kept alive until here
        }
        guard fsync(descriptor) == 0 else { throw failure() }
    }

    private func write(
        _ source: UnsafeRawBufferPointer, at place: Int, _ descriptor: Int32
    ) throws(FileError) {
        guard unsafe writeAll(descriptor, source, at: place) else { throw failure() }
    }

    private func failure() -> FileError { FileError(path: path, operation: "write", code: errno) }
}
