/// Operations on folders and on what lies in them. Every failure throws the system's reason.
package enum Folder {
    /// Makes a folder and those above it where they are missing.
    package static func make(_ path: String) throws(FileError) {
        if unsafe mkdir(path, 0o777) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.utf8.lastIndex(of: 47), slash > path.startIndex else {
            throw FileError(path: path, operation: "make this folder", code: errno)
        }
        try make(String(path[..<slash]))
        guard unsafe mkdir(path, 0o777) == 0 || errno == EEXIST else {
            throw FileError(path: path, operation: "make this folder", code: errno)
        }
    }

    /// The names in a folder, sorted by their bytes; none where there is no folder.
    package static func names(in path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    }

    /// Removes a folder of files and of folders of files. What is not there is no failure.
    package static func remove(_ path: String) {
        for name in names(in: path) where unsafe unlink("\(path)/\(name)") != 0 {
            for inner in names(in: "\(path)/\(name)") { unsafe unlink("\(path)/\(name)/\(inner)") }
            unsafe rmdir("\(path)/\(name)")
        }
        if unsafe rmdir(path) != 0 { unsafe unlink(path) }
    }

    /// The path from the root of the file system; as given where there is no such file.
    package static func absolute(_ path: String) -> String {
        guard let found = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    /// Puts what is at `path` in the place of what is at `other`, at once.
    package static func rename(_ path: String, to other: String) throws(FileError) {
        guard renameFile(path, other) == 0 else {
            throw FileError(path: other, operation: "put in its place", code: errno)
        }
    }

    /// Brings a folder's names to the disk; a file system that cannot has done what it can.
    package static func flush(_ path: String) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// The size in bytes of what is at `path`; nil where nothing is.
    package static func size(of path: String) -> Int? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Returns whether a regular file is at `path`.
    package static func isFile(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Points the symbolic link `path` to `target`, at once.
    package static func link(_ path: String, to target: String) throws(FileError) {
        let aside = "\(path).partial"
        unsafe unlink(aside)
        guard unsafe symlink(target, aside) == 0 else { throw FileError(path: path, operation: "link", code: errno) }
        try rename(aside, to: path)
    }
}
