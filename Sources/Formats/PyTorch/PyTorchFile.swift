internal import MartletJSON
internal import MartletTensors

/// A `pytorch_model.bin`: tensors in a zip file with a pickle, or in a row of pickles as PyTorch wrote them before 1.6.
///
/// Nothing in the file is executed. Source: `torch.save` and `torch/serialization.py` of PyTorch.
struct PyTorchFile {
    let tensors: StoredTensors

    private static let problem = "not a PyTorch checkpoint that can be read"

    /// - Throws: ``FormatError`` with everything that is wrong.
    init(contentsOf path: String, _ access: FileAccess = .mapped) throws(FormatError) {
        let file = try MappedFile(path, access)
        try file.checkKind()
        var offences = Offences()
        let found = unsafe file.withBytes { bytes in
            unsafe ZipArchive.begins(bytes)
                ? PyTorchFile.archive(bytes, file, &offences) : PyTorchFile.legacy(bytes, file, &offences)
        }
        try offences.check(
            path, PyTorchFile.problem, remedy: FormatError.incompleteCopy + ", as safetensors if there are any")
        tensors = try StoredTensors(unique: found, path: path, files: [file])
    }

    /// `NAME/data.pkl`, and the storages as `NAME/data/KEY`.
    private static func archive(
        _ bytes: UnsafeRawBufferPointer, _ file: MappedFile, _ offences: inout Offences
    ) -> [StoredTensor] {
        guard let archive = unsafe ZipArchive(bytes, &offences) else { return [] }
        let reader = unsafe ByteReader(bytes)
        guard let pickled = archive.entries.first(where: { $0.name.hasSuffix("/data.pkl") }) else {
            offences.add("it is a zip file without a data.pkl")
            return []
        }
        let root = String(pickled.name.dropLast("data.pkl".count))
        if let order = archive.entries.first(where: { $0.name == root + "byteorder" }),
            reader.text(order.range.lowerBound, order.range.count) == "big"
        {
            offences.add("its numbers are big-endian")
        }
        var places: [String: Range<Int>] = [:]
        for entry in archive.entries { places[entry.name] = entry.range }
        var pickle = Pickle(reader, pickled.range)
        guard let value = pickle.read() else {
            offences.add("its pickle is cut off or holds what no checkpoint holds, before byte \(pickle.offset)")
            return []
        }
        return stored(value, pickle, file, &offences) { places["\(root)data/\($0.key)"] }
    }

    /// Pickles of a magic number, a protocol number, the system, the object and the names of the storages, which follow
    /// in this order.
    private static func legacy(
        _ bytes: UnsafeRawBufferPointer, _ file: MappedFile, _ offences: inout Offences
    ) -> [StoredTensor] {
        let reader = unsafe ByteReader(bytes)
        var pickle = Pickle(reader, 0..<bytes.count)
        guard reader.byte(0) == 0x80, pickle.read() != nil, case .integer(1_001)? = pickle.read(), pickle.read() != nil,
            let value = pickle.read(), case .list(let names)? = pickle.read()
        else {
            offences.add("it begins neither as a zip file nor as PyTorch's older files do")
            return []
        }
        var types: [String: StoredType] = [:]
        for (_, view) in views(value, pickle) { types[view.storage.key] = view.storage.type }
        var places: [String: Range<Int>] = [:]
        var place = pickle.offset
        for name in pickle.lists[names] {
            guard let type = types[name], let elements = reader.word64(place),
                let size = type.block.checkedBytes(of: elements),
                size <= reader.count - place - 8
            else {
                offences.add("the storage \(name.quoted) is cut off or belongs to no tensor")
                return []
            }
            places[name] = place + 8..<place + 8 + size
            place += 8 + size
        }
        return stored(value, pickle, file, &offences) { places[$0.key] }
    }

    /// The tensors of a dictionary, or of the dictionary in it under a name that trainers use.
    private static func views(_ value: Pickle.Value, _ pickle: Pickle) -> [(name: String, view: Pickle.TensorView)] {
        guard case .dictionary(let number) = value else { return [] }
        let members = pickle.dictionaries[number]
        for name in ["state_dict", "model_state_dict", "model"] {
            if case .dictionary(let inner)? = members.last(where: { $0.key == name })?.value {
                return views(of: pickle.dictionaries[inner])
            }
        }
        return views(of: members)
    }

    private static func views(
        of members: [(key: String, value: Pickle.Value)]
    ) -> [(name: String, view: Pickle.TensorView)] {
        var places: [ExactKey: Int] = [:]
        var found: [(name: String, view: Pickle.TensorView)] = []
        for case (let name, .tensor(let view)) in members {
            // Of equal keys the last counts, as in a dictionary.
            if let place = places[ExactKey(name)] {
                found[place].view = view
            } else {
                places[ExactKey(name)] = found.count
                found.append((name, view))
            }
        }
        return found
    }

    private static func stored(
        _ value: Pickle.Value, _ pickle: Pickle, _ file: MappedFile, _ offences: inout Offences,
        at place: (Pickle.TensorStorage) -> Range<Int>?
    ) -> [StoredTensor] {
        let views = views(value, pickle)
        if views.isEmpty { offences.add("it holds no dictionary of tensors") }
        var tensors: [StoredTensor] = []
        for (name, view) in views {
            guard let range = place(view.storage), let tensor = stored(name, view, range, file) else {
                offences.add("tensor \(name.quoted) lies past the end of its storage, or has none")
                continue
            }
            tensors.append(tensor)
        }
        return tensors
    }

    private static func stored(
        _ name: String, _ view: Pickle.TensorView, _ range: Range<Int>, _ file: MappedFile
    ) -> StoredTensor? {
        guard let elements = Shape.product(view.extents), view.extents.allSatisfy({ $0 >= 0 }),
            let bytes = view.type.block.checkedBytes(of: elements), view.offset >= 0,
            let start = view.type.block.checkedBytes(of: view.offset), view.strides.allSatisfy({ $0 >= 0 }),
            let last = lastElement(view), let end = view.type.block.checkedBytes(of: last), start <= range.count,
            end <= range.count - start, bytes <= range.count
        else { return nil }
        let offset = range.lowerBound + start
        var derivation: StoredTensor.Derivation?
        if !isContiguous(view) {
            derivation = { () throws(FormatError) -> Tensor in try gathered(name, view, file, offset: offset) }
        }
        return StoredTensor(
            name: name, type: view.type, extents: view.extents, byteOffset: offset,
            bytes: derivation == nil ? bytes : end,
            storage: file.storage, path: file.path, derivation: derivation)
    }

    /// The number of elements of the storage that a view reaches, from the tensor's first on; nil on overflow.
    private static func lastElement(_ view: Pickle.TensorView) -> Int? {
        if view.extents.contains(0) { return 0 }
        var last = 1
        for (extent, stride) in zip(view.extents, view.strides) {
            let (step, tooFar) = (extent - 1).multipliedReportingOverflow(by: stride)
            let (sum, overflow) = last.addingReportingOverflow(step)
            guard !tooFar, !overflow else { return nil }
            last = sum
        }
        return last
    }

    private static func isContiguous(_ view: Pickle.TensorView) -> Bool {
        // Extents around a zero may have any product.
        if view.extents.contains(0) { return true }
        var expected = 1
        for (extent, stride) in zip(view.extents, view.strides).reversed() where extent != 1 {
            if stride != expected { return false }
            expected *= extent
        }
        return true
    }

    /// The elements of a view whose strides are not those of its extents, one after the other.
    private static func gathered(
        _ name: String, _ view: Pickle.TensorView, _ file: MappedFile, offset: Int
    ) throws(FormatError) -> Tensor {
        let size = view.type.block.bytes
        let elements = view.extents.reduce(1, *)
        let copy = Storage(bytes: elements * size)
        var index = [Int](repeating: 0, count: view.extents.count)
        for element in 0..<elements {
            let place = zip(index, view.strides).reduce(0) { $0 + $1.0 * $1.1 }
            unsafe (copy.mutablePointer + element * size).copyMemory(
                from: file.storage.pointer + offset + place * size, byteCount: size)
            for axis in index.indices.reversed() {
                index[axis] += 1
                if index[axis] < view.extents[axis] { break }
                index[axis] = 0
            }
        }
        let plain = StoredTensor(
            name: name, type: view.type, extents: view.extents, byteOffset: 0, bytes: copy.bytes, storage: copy,
            path: file.path)
        return try plain.tensor()
    }
}
