/// The right of one process to work in a folder: a file `lock` in it, locked while the process lives and taken away
/// when it is done. One that a killed process left behind binds nobody.
package final class FolderLock: Sendable {
    private let descriptor: Int32
    private let name: String

    /// - Returns: nil while another process has the lock.
    /// - Throws: ``FileError`` when the file cannot be made.
    package init?(_ folder: String) throws(FileError) {
        name = folder + "/lock"
        while true {
            let descriptor = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw FileError(path: name, operation: "open", code: errno) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                close(descriptor)
                return nil
            }
            // Who had it may have taken the file away in between: then this one is no longer in the folder.
            if FolderLock.isSame(descriptor, name) {
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
    }

    deinit {
        if FolderLock.isSame(descriptor, name) { unsafe unlink(name) }
        close(descriptor)
    }

    private static func isSame(_ descriptor: Int32, _ name: String) -> Bool {
        var (opened, named) = (stat(), stat())
        guard unsafe fstat(descriptor, &opened) == 0, unsafe stat(name, &named) == 0 else { return false }
        return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev
    }
}
