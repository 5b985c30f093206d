extension PackedMatrix {
    /// A matrix whose panels already lie in `storage`: mapped from a file, or a part of one that is measured with.
    package init(outputs: Int, inputs: Int, type: ElementType, packed storage: Storage) {
        precondition(
            storage.bytes >= PackedMatrix.bytes(outputs: outputs, inputs: inputs, type: type),
            "PackedMatrix: \(storage.bytes) bytes for [\(outputs), \(inputs)] \(type)")
        (self.outputs, self.inputs, self.type, self.storage) = (outputs, inputs, type, storage)
    }
}
