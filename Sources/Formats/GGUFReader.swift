internal import MartletJSON
internal import MartletTensors

/// A reader that takes and checks everything before the data of a GGUF file.
///
/// Where the meaning of the next byte is lost, reading ends; what is wrong beside that is collected.
struct GGUFReader {
    private(set) var version = 0
    private(set) var alignment = GGUF.defaultAlignment
    private(set) var metadata = GGUFMetadata()
    private(set) var tensors: [StoredTensor] = []

    private let file: MappedFile
    private var cursor: ByteCursor
    private var offences = Offences()
    private var infos: [Info] = []

    /// A tensor as the header describes it.
    private struct Info {
        let name: String
        let type: StoredType
        let extents: [Int]
        let bytes: Int
        let offset: UInt64
    }

    /// - Safety: `bytes` must stay alive while the reader is used.
    @unsafe init(_ bytes: UnsafeRawBufferPointer, _ file: MappedFile) {
        self.file = file
        cursor = unsafe ByteCursor(bytes)
        metadata.path = file.path
    }

    /// Reads all of it, and returns itself when nothing was wrong.
    mutating func read() throws(FormatError) -> GGUFReader {
        try readPreamble()
        let tensorCount = try takeCount("tensors", leastBytes: 24)
        let pairCount = try takeCount("metadata values", leastBytes: 13)
        for _ in 0..<pairCount { try readPair() }
        alignment = GGUF.alignment(of: metadata, &offences)
        var names: Set<ExactKey> = []
        for _ in 0..<tensorCount {
            guard let info = try readInfo() else { continue }
            if !names.insert(ExactKey(info.name)).inserted {
                offences.add("tensor \(info.name.quoted) is described twice")
            }
            infos.append(info)
        }
        if offences.isEmpty { placeTensors() }
        try offences.check(file.path, GGUF.problem, remedy: FormatError.incompleteCopy)
        return self
    }

    /// The error that ends the reading here, with all that was found before.
    private mutating func stop(_ offence: String) -> FormatError {
        offences.add(offence)
        return FormatError(
            path: file.path, problem: GGUF.problem, offences: offences.list, omitted: offences.omitted,
            remedy: FormatError.incompleteCopy)
    }

    private mutating func endsInside(_ what: String) -> FormatError {
        stop("at byte \(cursor.offset) it ends inside \(what), or a length there is past its end")
    }

    private mutating func readPreamble() throws(FormatError) {
        guard let start = unsafe cursor.take(bytes: GGUF.magic.count), unsafe start.elementsEqual(GGUF.magic) else {
            throw stop("it does not begin with the letters GGUF")
        }
        guard let number = cursor.take(UInt32.self) else { throw endsInside("the version") }
        switch number {
        case 2, 3: version = Int(number)
        case 1: throw stop("its version is 1, whose lengths are written otherwise; convert it to version 3")
        case _ where number & 0xFFFF == 0 && number != 0:
            throw stop("it is big-endian; convert it to little-endian (gguf_convert_endian of the gguf package)")
        default: throw stop("its version is \(number); 2 and 3 are supported")
        }
    }

    /// A count of things that take at least `leastBytes` each, so that it cannot be more than the file holds.
    private mutating func takeCount(_ what: String, leastBytes: Int) throws(FormatError) -> Int {
        guard let count = cursor.take(UInt64.self) else { throw endsInside("the number of \(what)") }
        guard count <= cursor.remaining / leastBytes else {
            throw stop("it claims \(count) \(what), more than its \(file.storage.bytes) bytes can hold")
        }
        return Int(count)
    }

    private mutating func takeText(_ what: String) throws(FormatError) -> String {
        guard let bytes = unsafe cursor.takeString() else { throw endsInside(what) }
        if let text = unsafe String(validating: bytes, as: UTF8.self) { return text }
        offences.add("\(what) before byte \(cursor.offset) is not UTF-8")
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}

extension GGUFReader {
    private mutating func readPair() throws(FormatError) {
        let key = try takeText("a metadata key")
        let value = try readValue(try takeKind(key), key)
        if metadata[key] != nil { offences.add("the metadata key \(key.quoted) occurs twice") }
        metadata[key] = value
    }

    private mutating func takeKind(_ key: String) throws(FormatError) -> GGUFKind {
        guard let number = cursor.take(UInt32.self) else { throw endsInside("the kind of \(key.quoted)") }
        guard let kind = GGUFKind(rawValue: number) else {
            throw stop("\(key.quoted) is of the unknown kind \(number)")
        }
        return kind
    }

    private mutating func readValue(_ kind: GGUFKind, _ key: String) throws(FormatError) -> GGUFValue {
        let value: GGUFValue? =
            switch kind {
            case .uint8: cursor.take(UInt8.self).map { .uint8($0) }
            case .int8: cursor.take(Int8.self).map { .int8($0) }
            case .uint16: cursor.take(UInt16.self).map { .uint16($0) }
            case .int16: cursor.take(Int16.self).map { .int16($0) }
            case .uint32: cursor.take(UInt32.self).map { .uint32($0) }
            case .int32: cursor.take(Int32.self).map { .int32($0) }
            case .uint64: cursor.take(UInt64.self).map { .uint64($0) }
            case .int64: cursor.take(Int64.self).map { .int64($0) }
            case .float32: cursor.take(UInt32.self).map { .float32(Float(bitPattern: $0)) }
            case .float64: cursor.take(UInt64.self).map { .float64(Double(bitPattern: $0)) }
            case .bool: takeBool(key)
            case .string: takeString()
            case .array: .array(try readArray(key))
            }
        guard let value else { throw endsInside("the value of \(key.quoted)") }
        return value
    }

    private mutating func takeBool(_ key: String) -> GGUFValue? {
        guard let byte = cursor.take(UInt8.self) else { return nil }
        if byte > 1 { offences.add("\(key.quoted) is a bool of value \(byte); only 0 and 1 are allowed") }
        return .bool(byte != 0)
    }

    private mutating func takeString() -> GGUFValue? {
        guard let bytes = unsafe cursor.takeString() else { return nil }
        return unsafe String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(Array(bytes))
    }

    /// Checks the lengths of the elements, and leaves them where they are.
    private mutating func readArray(_ key: String) throws(FormatError) -> GGUFArray {
        let kind = try takeKind(key)
        guard kind != .array else { throw stop("\(key.quoted) is an array of arrays, which is not supported") }
        let count = try takeCount("elements of \(key.quoted)", leastBytes: kind.bytes ?? 8)
        let start = cursor.offset
        if let size = kind.bytes {
            guard cursor.skip(count * size) else { throw endsInside(key.quoted) }
        } else {
            for _ in 0..<count where unsafe cursor.takeString() == nil {
                throw endsInside("the strings of \(key.quoted)")
            }
        }
        return GGUFArray(kind: kind, count: count, storage: file.storage, range: start..<cursor.offset)
    }
}

extension GGUFReader {
    /// The description of the next tensor, or nil when it was read but is wrong.
    private mutating func readInfo() throws(FormatError) -> Info? {
        let name = try takeText("a tensor's name")
        guard let rank = cursor.take(UInt32.self) else { throw endsInside("the extents of \(name.quoted)") }
        guard rank <= Shape.maximumRank else {
            throw stop("tensor \(name.quoted) has \(rank) extents; at most \(Shape.maximumRank) are allowed")
        }
        var innermostFirst: [Int64] = []
        for _ in 0..<rank {
            guard let extent = cursor.take(Int64.self) else { throw endsInside("the extents of \(name.quoted)") }
            innermostFirst.append(extent)
        }
        guard let number = cursor.take(UInt32.self), let offset = cursor.take(UInt64.self) else {
            throw endsInside("the description of \(name.quoted)")
        }
        let extents = innermostFirst.reversed().map { Int($0) }
        if name.utf8.count > GGUF.maximumNameBytes {
            offences.add(
                "the name \(name.quoted) has \(name.utf8.count) bytes; at most \(GGUF.maximumNameBytes) are allowed")
        }
        guard let type = GGMLTypes.all[number] else {
            offences.add("tensor \(name.quoted) is of the unknown type \(number)")
            return nil
        }
        guard let elements = Shape.product(extents), extents.last ?? 1 >= 0,
            (extents.last ?? 1) % type.block.elements == 0, let bytes = type.block.checkedBytes(of: elements)
        else {
            offences.add("tensor \(name.quoted): \(extents) elements of \(type.name) are no whole blocks that can be")
            return nil
        }
        return Info(name: name, type: type, extents: extents, bytes: bytes, offset: offset)
    }

    /// The tensors follow one another, each from a multiple of the alignment on, and end within the file.
    private mutating func placeTensors() {
        guard !infos.isEmpty else { return }
        guard let dataOffset = aligned(cursor.offset), dataOffset <= file.storage.bytes else {
            return offences.add(
                "the data would begin past its end: \(cursor.offset) bytes of header, aligned to \(alignment)")
        }
        let room = file.storage.bytes - dataOffset
        var end = 0
        for info in infos {
            guard info.offset == end else {
                offences.add("tensor \(info.name.quoted) is at byte \(info.offset) of the data, it should be at \(end)")
                return
            }
            let (next, overflow) = end.addingReportingOverflow(info.bytes)
            guard !overflow, let padded = aligned(next), padded <= room else {
                offences.add(
                    "tensor \(info.name.quoted) takes \(info.bytes) bytes from byte \(end) of the data on, which has only \(room)"
                )
                return
            }
            tensors.append(
                StoredTensor(
                    name: info.name, type: info.type, extents: info.extents, byteOffset: dataOffset + end,
                    bytes: info.bytes,
                    storage: file.storage, path: file.path))
            end = padded
        }
    }

    /// The next multiple of the alignment, or nil past `Int`.
    private func aligned(_ offset: Int) -> Int? {
        let (sum, overflow) = offset.addingReportingOverflow(alignment - 1)
        return overflow ? nil : sum & ~(alignment - 1)
    }
}
