/// A folder of files that appears whole or not at all.
///
/// Files are written in ``aside``. ``commit()`` puts them in their place: by one renaming where there is no such folder
/// yet, else one by one beside what the folder holds, over files of the same names. Dropped before that, they are
/// removed.
package struct AtomicFolder: ~Copyable {
    package let path: String
    /// The folder in which the files are written.
    package var aside: String { unfinished.path }
    private let unfinished: UnfinishedFile
    private let isNew: Bool
    private var isCommitted = false

    /// Makes ``aside``, and the folders above it.
    ///
    /// - Throws: ``FileError`` with the system's reason.
    package init(_ path: String) throws(FileError) {
        let bytes = path.utf8.reversed().drop { $0 == UInt8(ascii: "/") }.count
        let place = bytes == 0 ? path : String(decoding: path.utf8.prefix(bytes), as: UTF8.self)
        self.path = place
        isNew = !fileExists(place)
        unfinished = UnfinishedFile(for: isNew ? place : place + "/new")
        do {
            try Folder.make(unfinished.path)
        } catch {
            throw FileError(path: place, operation: error.operation, reason: error.reason)
        }
    }

    deinit {
        guard !isCommitted else { return }
        _ = unfinished.end {
            Folder.remove(aside)
            return 0
        }
    }

    /// Puts the files in their place.
    package consuming func commit() throws(FileError) {
        let (aside, path, isNew) = (aside, path, isNew)
        let code = unfinished.end {
            isNew ? (renameFile(aside, path) == 0 ? 0 : errno) : AtomicFolder.move(aside, into: path)
        }
        guard code == 0 else { throw FileError(path: path, operation: "put in its place", code: code) }
        isCommitted = true
        Folder.flush(path)
    }

    /// Moves what a folder holds into another, folders of the same name into each other. The folder goes.
    private static func move(_ folder: String, into other: String) -> Int32 {
        for name in Folder.names(in: folder) where renameFile("\(folder)/\(name)", "\(other)/\(name)") != 0 {
            let code = errno
            guard code == ENOTEMPTY || code == EEXIST else { return code }
            let inner = move("\(folder)/\(name)", into: "\(other)/\(name)")
            guard inner == 0 else { return inner }
        }
        return unsafe rmdir(folder) == 0 ? 0 : errno
    }
}
