/// Little-endian numbers anywhere in memory that somebody else keeps alive; nil past its end.
@safe struct ByteReader {
    private let bytes: UnsafeRawBufferPointer

    /// - Safety: `bytes` must stay alive while the reader is used.
    @unsafe init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    var count: Int { unsafe bytes.count }

    func load<Value: FixedWidthInteger>(_ place: Int, _: Value.Type) -> Value? {
        guard place >= 0, place <= count - MemoryLayout<Value>.size else { return nil }
        return unsafe Value(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Value.self))
    }

    /// The `length` bytes from `place` on.
    @unsafe func bytes(_ place: Int, _ length: Int) -> UnsafeRawBufferPointer? {
        guard place >= 0, length >= 0, place <= count, length <= count - place else { return nil }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[place..<place + length])
    }

    func byte(_ place: Int) -> UInt8? { load(place, UInt8.self) }
    func word16(_ place: Int) -> Int? { load(place, UInt16.self).map { Int($0) } }
    func word32(_ place: Int) -> UInt32? { load(place, UInt32.self) }
    /// A number that an `Int` holds.
    func word64(_ place: Int) -> Int? { load(place, UInt64.self).flatMap { Int(exactly: $0) } }

    /// The text of `length` bytes from `place` on; nil, too, where they are not UTF-8.
    func text(_ place: Int, _ length: Int) -> String? {
        unsafe bytes(place, length).flatMap { unsafe String(validating: $0, as: UTF8.self) }
    }
}

/// A cursor that takes little-endian values one after another from memory that somebody else keeps alive; nil past its
/// end.
@safe struct ByteCursor {
    private let reader: ByteReader
    private(set) var offset = 0

    /// - Safety: `bytes` must stay alive while the cursor is used.
    @unsafe init(_ bytes: UnsafeRawBufferPointer) { reader = unsafe ByteReader(bytes) }

    var remaining: Int { reader.count - offset }

    mutating func take<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
        guard let value = reader.load(offset, Value.self) else { return nil }
        offset += MemoryLayout<Value>.size
        return value
    }

    /// The next `count` bytes.
    @unsafe mutating func take(bytes count: Int) -> UnsafeRawBufferPointer? {
        guard let bytes = unsafe reader.bytes(offset, count) else { return nil }
        offset += count
        return unsafe bytes
    }

    /// Passes over `count` bytes; false, and no move, when fewer are left.
    mutating func skip(_ count: Int) -> Bool { unsafe take(bytes: count) != nil }
}
