import MartletTensors

/// The tokens of many documents in one mapped file.
///
/// Layout, little-endian: the tokens, 2 or 4 bytes each; zeros up to a multiple of 8; where each document begins and
/// the last one ends, counted in tokens, 8 bytes each; then 32 bytes: "MARTTOK1", the width of a token, the number of
/// documents, the number of tokens.
@safe package struct TokenCache: Sendable {
    static let magic = Array("MARTTOK1".utf8)
    static let footerBytes = 32

    package let path: String
    /// The number of documents.
    package let documents: Int
    /// The number of tokens of all documents.
    package let count: Int
    private let storage: Storage
    private let width: Int
    private let offsets: Int

    /// Opens a cache.
    ///
    /// - Throws: ``DataError`` for a file that is none or is damaged, ``FileError``.
    package init(_ path: String) throws {
        let storage = try Storage(mapping: path)
        func damaged(_ what: String) -> DataError {
            DataError("\(path): not a token cache (\(what)); delete it, and it is made again")
        }
        guard storage.bytes >= TokenCache.footerBytes + 8 else { throw damaged("\(storage.bytes) bytes") }
        let footer = storage.bytes - TokenCache.footerBytes
        func word(_ index: Int) -> Int? {
            let bytes = unsafe storage.pointer.loadUnaligned(fromByteOffset: footer + index * 8, as: UInt64.self)
            return Int(exactly: UInt64(littleEndian: bytes))
        }
        let magic = (0..<8).map { unsafe storage.pointer.load(fromByteOffset: footer + $0, as: UInt8.self) }
        guard magic == TokenCache.magic, let width = word(1), let documents = word(2), let count = word(3),
            width == 2 || width == 4
        else { throw damaged("its end") }
        guard documents < 1 << 48, count < 1 << 56 else { throw damaged("its counts") }
        let offsets = (count * width + 7) / 8 * 8
        guard offsets + (documents + 1) * 8 == footer else { throw damaged("its length") }
        (self.path, self.documents, self.count) = (path, documents, count)
        (self.storage, self.width, self.offsets) = (storage, width, offsets)
        var last = 0
        for index in 0...documents {
            let start = self.start(of: index)
            guard start >= last, start <= count else { throw damaged("document \(index)") }
            last = start
        }
        guard start(of: 0) == 0, last == count else { throw damaged("its documents") }
    }

    /// The place of a document's first token; of `documents`, the number of all tokens.
    package func start(of document: Int) -> Int {
        precondition(document >= 0 && document <= documents, "TokenCache: document \(document) of \(documents)")
        return unsafe Int(
            truncatingIfNeeded: UInt64(
                littleEndian: storage.pointer.load(fromByteOffset: offsets + document * 8, as: UInt64.self)))
    }

    package func length(of document: Int) -> Int { start(of: document + 1) - start(of: document) }

    /// The tokens at `range` of all.
    package subscript(range: Range<Int>) -> [Int32] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "TokenCache: tokens \(range) of \(count)")
        return range.map { index in
            unsafe width == 2
                ? Int32(UInt16(littleEndian: storage.pointer.load(fromByteOffset: index * 2, as: UInt16.self)))
                : Int32(littleEndian: storage.pointer.load(fromByteOffset: index * 4, as: Int32.self))
        }
    }
}
