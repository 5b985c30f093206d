/// A writer of little-endian values as GGUF has them, one after another.
struct GGUFBytes {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ value: some FixedWidthInteger) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    mutating func append(_ string: String) { append(string: Array(string.utf8)) }

    mutating func append(string: [UInt8]) {
        append(UInt64(string.count))
        bytes.append(contentsOf: string)
    }

    mutating func append(raw: [UInt8]) { bytes.append(contentsOf: raw) }

    mutating func pad(to alignment: Int) {
        let remainder = bytes.count % alignment
        if remainder > 0 { bytes.append(contentsOf: repeatElement(0, count: alignment - remainder)) }
    }

    mutating func append(_ value: GGUFValue) {
        switch value {
        case .uint8(let value): append(value)
        case .int8(let value): append(value)
        case .uint16(let value): append(value)
        case .int16(let value): append(value)
        case .uint32(let value): append(value)
        case .int32(let value): append(value)
        case .uint64(let value): append(value)
        case .int64(let value): append(value)
        case .float32(let value): append(value.bitPattern)
        case .float64(let value): append(value.bitPattern)
        case .bool(let value): append(value ? UInt8(1) : 0)
        case .string(let value): append(value)
        case .bytes(let value): append(string: value)
        case .array(let array):
            append(array.kind.rawValue)
            append(UInt64(array.count))
            append(raw: array.bytes)
        }
    }
}

extension ByteCursor {
    /// A string as GGUF writes it: a length of 8 bytes and as many bytes.
    @unsafe mutating func takeString() -> UnsafeRawBufferPointer? {
        guard let length = take(UInt64.self).flatMap({ Int(exactly: $0) }) else { return nil }
        return unsafe take(bytes: length)
    }
}
