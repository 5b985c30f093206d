internal import MartletJSON
internal import MartletTensors

/// The checked header of a safetensors file.
struct SafetensorsHeader {
    /// A tensor as the header describes it.
    struct Entry {
        let name: String
        let type: StoredType
        let extents: [Int]
        /// The bytes of the tensor within the data.
        let range: Range<Int>
    }

    /// The tensors in the order of their data.
    private(set) var entries: [Entry] = []
    private(set) var metadata: [(key: String, value: String)] = []
    /// The offset of the data in the file, in bytes.
    private(set) var dataOffset = 0

    /// Reads and checks the header of a file whose bytes are `file`.
    init(_ file: UnsafeRawBufferPointer, path: String) throws(FormatError) {
        var offences = Offences()
        if let text = unsafe SafetensorsHeader.text(of: file, &offences) {
            dataOffset = 8 + text.count
            do {
                var parser = unsafe SafetensorsHeaderParser(text)
                try parser.parse()
                (entries, metadata, offences) = (parser.entries, parser.metadata, parser.offences)
            } catch {
                offences.add("the header is \(error)")
            }
            // Without all entries, holes would be reported that are only ours.
            if offences.isEmpty { checkLayout(dataBytes: file.count - dataOffset, &offences) }
        }
        try offences.check(path, Safetensors.problem, remedy: FormatError.incompleteCopy)
    }

    /// The bytes of the header, when its length makes sense.
    private static func text(of file: UnsafeRawBufferPointer, _ offences: inout Offences) -> UnsafeBufferPointer<UInt8>?
    {
        guard file.count >= 8 else {
            offences.add("it has \(file.count) bytes, and the header's length alone takes 8")
            return nil
        }
        let length = unsafe UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard length <= Safetensors.maximumHeaderBytes else {
            offences.add("its header would take \(length) bytes; at most \(Safetensors.maximumHeaderBytes) are allowed")
            return nil
        }
        guard length <= file.count - 8 else {
            offences.add("its header would take \(length) bytes, but only \(file.count - 8) follow")
            return nil
        }
        let text = unsafe UnsafeRawBufferPointer(rebasing: file[8..<8 + Int(length)])
        guard unsafe text.first == UInt8(ascii: "{") else {
            offences.add("its header does not begin with '{'")
            return nil
        }
        return unsafe text.assumingMemoryBound(to: UInt8.self)
    }

    /// The tensors lie one after another, from the first byte of the data to the last.
    private mutating func checkLayout(dataBytes: Int, _ offences: inout Offences) {
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = 0
        for entry in entries {
            let start = entry.range.lowerBound
            if start > end {
                offences.add("the \(start - end) bytes before tensor \(entry.name.quoted) belong to none")
            } else if start < end {
                offences.add(
                    "tensor \(entry.name.quoted) begins at byte \(start) of the data, inside the one before it")
            }
            end = max(end, entry.range.upperBound)
        }
        if end > dataBytes {
            offences.add("the tensors take \(end) bytes, but the file holds only \(dataBytes)")
        } else if end < dataBytes {
            offences.add("\(dataBytes - end) bytes follow the last tensor")
        }
    }
}

/// A parser of the header: it reads `{"name": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …,
/// "__metadata__": {…}}` without building values, so that a header full of nonsense takes no more memory than its
/// length.
struct SafetensorsHeaderParser {
    private(set) var entries: [SafetensorsHeader.Entry] = []
    private(set) var metadata: [(key: String, value: String)] = []
    private(set) var offences = Offences()
    private var reader: JSONReader
    private var names: Set<ExactKey> = []

    /// The maximum number of extents of a tensor: no tensor has more; keeps a long list from taking memory.
    private static let maximumExtents = 64

    /// - Safety: `text` must stay alive while the parser is used.
    @unsafe init(_ text: UnsafeBufferPointer<UInt8>) {
        reader = unsafe JSONReader(text)
    }

    mutating func parse() throws(JSONError) {
        _ = try reader.next()  // the brace that the caller has seen
        while case .key(let name) = try reader.next() {
            if !names.insert(ExactKey(name)).inserted { offences.add("\(name.quoted) occurs twice in the header") }
            if name.hasSameBytes(as: Safetensors.metadataKey) { try parseMetadata() } else { try parseTensor(name) }
        }
        _ = try reader.next()  // nothing may follow but blanks
    }

    private mutating func parseMetadata() throws(JSONError) {
        let depth = reader.depth
        guard case .beginObject = try reader.next() else {
            offences.add("__metadata__ is not an object")
            return try reader.skip(toDepth: depth)
        }
        var keys: Set<ExactKey> = []
        while case .key(let key) = try reader.next() {
            if !keys.insert(ExactKey(key)).inserted { offences.add("__metadata__ has the key \(key.quoted) twice") }
            if case .string(let value) = try reader.next() {
                metadata.append((key, value))
            } else {
                offences.add("__metadata__ has for \(key.quoted) something that is not a string")
                try reader.skip(toDepth: depth + 1)
            }
        }
    }

    private mutating func parseTensor(_ name: String) throws(JSONError) {
        let depth = reader.depth
        guard case .beginObject = try reader.next() else {
            offences.add("tensor \(name.quoted) is not described by an object")
            return try reader.skip(toDepth: depth)
        }
        let fields = ["dtype", "shape", "data_offsets"]
        var missing = fields
        var (type, extents, offsets): (StoredType?, [Int]?, [Int]?)
        while case .key(let field) = try reader.next() {
            if let position = missing.firstIndex(of: field) {
                missing.remove(at: position)
            } else {
                offences.add(
                    "tensor \(name.quoted) has \(fields.contains(field) ? "twice" : "the unknown field") \(field.quoted)"
                )
            }
            switch field {
            case "dtype": type = try readType(name)
            case "shape": extents = try readIntegers(name, field, limit: SafetensorsHeaderParser.maximumExtents)
            case "data_offsets": offsets = try readIntegers(name, field, limit: 2)
            default:
                _ = try reader.next()
                try reader.skip(toDepth: depth + 1)
            }
        }
        for field in missing { offences.add("tensor \(name.quoted) has no \(field)") }
        if let type, let extents, let offsets { append(name, type, extents, offsets) }
    }

    /// Takes in a tensor whose fields are there, when they agree.
    private mutating func append(_ name: String, _ type: StoredType, _ extents: [Int], _ offsets: [Int]) {
        guard offsets.count == 2 else {
            return offences.add("tensor \(name.quoted) has \(offsets.count) data_offsets instead of 2")
        }
        guard offsets[0] <= offsets[1] else {
            return offences.add("tensor \(name.quoted) ends at byte \(offsets[1]), before its begin \(offsets[0])")
        }
        guard let bytes = Shape.product(extents).flatMap(type.block.checkedBytes(of:)) else {
            return offences.add(
                "tensor \(name.quoted): \(extents) elements of \(type.name) are no whole number of bytes that can be")
        }
        guard bytes == offsets[1] - offsets[0] else {
            return offences.add(
                "tensor \(name.quoted): \(extents) elements of \(type.name) take \(bytes) bytes, its offsets say \(offsets[1] - offsets[0])"
            )
        }
        entries.append(
            SafetensorsHeader.Entry(name: name, type: type, extents: extents, range: offsets[0]..<offsets[1]))
    }

    private mutating func readType(_ name: String) throws(JSONError) -> StoredType? {
        let depth = reader.depth
        guard case .string(let spelled) = try reader.next() else {
            offences.add("tensor \(name.quoted) has a dtype that is not a string")
            try reader.skip(toDepth: depth)
            return nil
        }
        guard let type = Safetensors.types[spelled] else {
            offences.add("tensor \(name.quoted) has the unknown dtype \(spelled.quoted)")
            return nil
        }
        return type
    }

    /// A list of integers from 0 on, or nil after an offence.
    private mutating func readIntegers(_ name: String, _ field: String, limit: Int) throws(JSONError) -> [Int]? {
        let depth = reader.depth
        var problem = "is not a list"
        if case .beginArray = try reader.next() {
            var integers: [Int] = []
            while integers.count <= limit, case .integer(let integer) = try reader.next(), integer >= 0 {
                integers.append(integer)
            }
            if integers.count <= limit, reader.depth == depth { return integers }
            problem =
                integers.count > limit
                ? "has more than \(limit) entries" : "holds something else than integers from 0 to \(Int.max)"
        }
        offences.add("tensor \(name.quoted): \(field) \(problem)")
        try reader.skip(toDepth: depth)
        return nil
    }
}
