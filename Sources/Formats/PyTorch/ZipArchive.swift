internal import MartletJSON

/// The entries of a zip file that stores them as they are, which is how PyTorch writes its checkpoints. Compressed
/// entries are refused.
///
/// Source: APPNOTE.TXT of PKWARE, with the 64-bit records that large files need.
struct ZipArchive {
    /// A file in the archive.
    struct Entry {
        let name: String
        /// The range of the entry's bytes in the file.
        let range: Range<Int>
    }

    let entries: [Entry]

    private static let (localHeader, entryHeader, end, end64, locator64): (UInt32, UInt32, UInt32, UInt32, UInt32) =
        (0x0403_4b50, 0x0201_4b50, 0x0605_4b50, 0x0606_4b50, 0x0706_4b50)

    /// Returns whether a file begins as a zip file does.
    static func begins(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let reader = unsafe ByteReader(bytes)
        return reader.word32(0) == localHeader
    }

    /// Reads the directory at the end of the file.
    ///
    /// - Returns: nil, and the reason in `offences`, when it makes no sense.
    init?(_ bytes: UnsafeRawBufferPointer, _ offences: inout Offences) {
        let reader = unsafe ByteReader(bytes)
        guard let directory = ZipArchive.directory(reader) else {
            offences.add("it has no directory at its end, as a zip file has: a part of it is missing")
            return nil
        }
        var entries: [Entry] = []
        var place = directory.offset
        for index in 0..<directory.count {
            guard reader.word32(place) == ZipArchive.entryHeader, let nameLength = reader.word16(place + 28),
                let extraLength = reader.word16(place + 30), let commentLength = reader.word16(place + 32),
                let name = reader.text(place + 46, nameLength), let method = reader.word16(place + 10)
            else {
                offences.add("entry \(index) of \(directory.count) of its directory is cut off")
                return nil
            }
            guard method == 0 else {
                offences.add("its entry \(name.quoted) is compressed")
                return nil
            }
            guard let range = ZipArchive.range(reader, place, extra: place + 46 + nameLength, extraLength) else {
                offences.add("its entry \(name.quoted) lies past the end of the file")
                return nil
            }
            entries.append(Entry(name: name, range: range))
            place += 46 + nameLength + extraLength + commentLength
        }
        self.entries = entries
    }

    /// The offset of the central directory, and the number of its entries.
    private static func directory(_ reader: ByteReader) -> (offset: Int, count: Int)? {
        let first = max(0, reader.count - 22 - 65_535)
        guard reader.count >= 22,
            let end = stride(from: reader.count - 22, through: first, by: -1).first(where: {
                reader.word32($0) == ZipArchive.end
            }), let count = reader.word16(end + 10), let offset = reader.word32(end + 16)
        else { return nil }
        guard count == 0xFFFF || offset == .max else { return (Int(offset), count) }
        guard reader.word32(end - 20) == locator64, let record = reader.word64(end - 12),
            reader.word32(record) == end64, let wide = reader.word64(record + 32),
            let start = reader.word64(record + 48)
        else { return nil }
        // An entry takes 46 bytes at least.
        return wide <= reader.count / 46 ? (start, wide) : nil
    }

    /// The range of the bytes of the entry described at `place`.
    private static func range(_ reader: ByteReader, _ place: Int, extra: Int, _ extraLength: Int) -> Range<Int>? {
        guard var size = reader.word32(place + 20).map(Int.init), var header = reader.word32(place + 42).map(Int.init),
            let plain = reader.word32(place + 24)
        else { return nil }
        // What does not fit 32 bits stands in the extra field 1, in this order: plain size, stored size, offset.
        var (at, limit) = (extra, extra + extraLength)
        while at + 4 <= limit, let kind = reader.word16(at), let length = reader.word16(at + 2) {
            if kind == 1 {
                var field = at + 4
                limit = field + length
                func take() -> Int? {
                    defer { field += 8 }
                    return field + 8 <= limit ? reader.word64(field) : nil
                }
                if plain == .max { _ = take() }
                if size == UInt32.max {
                    guard let wide = take() else { return nil }
                    size = wide
                }
                if header == UInt32.max {
                    guard let wide = take() else { return nil }
                    header = wide
                }
                break
            }
            at += 4 + length
        }
        guard reader.word32(header) == localHeader, let name = reader.word16(header + 26),
            let padding = reader.word16(header + 28)
        else { return nil }
        let start = header + 30 + name + padding
        guard start <= reader.count, size <= reader.count - start else { return nil }
        return start..<start + size
    }
}
