import Synchronization

/// A file, or a folder, that is written under a name of its own until it is whole.
///
/// A host that is told to end (SIGINT, SIGTERM) removes those that are not; the library installs no handler.
package struct UnfinishedFile: Sendable {
    /// The place where it is written: `target.NUMBER.partial`.
    package let path: String
    private let number: UInt32

    private static let paths = Mutex<[UInt32: String]>([:])

    /// A place for what is going to stand at `target`. Nothing is made there yet.
    package init(for target: String) {
        let number = UInt32.random(in: 0 ... .max)
        let path = "\(target).\(number).partial"
        (self.path, self.number) = (path, number)
        UnfinishedFile.paths.withLock { $0[number] = path }
    }

    /// Ends it by `step`, which puts it in its place or removes it and returns 0, or the system's code for why not.
    ///
    /// - Returns: what `step` returned.
    package func end(_ step: () -> Int32) -> Int32 {
        UnfinishedFile.paths.withLock { paths in
            let code = step()
            if code == 0 { paths[number] = nil }
            return code
        }
    }

    /// Removes all that are not whole, and does `last`, before which no other is put in its place.
    package static func removeAll(andThen last: () -> Void) {
        paths.withLock { paths in
            for path in paths.values { Folder.remove(path) }
            paths = [:]
            last()
        }
    }
}
