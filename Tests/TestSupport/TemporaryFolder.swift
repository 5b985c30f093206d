import MartletPlatform

/// A folder that lasts as long as a test's closure.
package enum TemporaryFolder {
    package static func use(_ body: (String) throws -> Void) throws {
        let path = try make()
        defer { remove(path) }
        try body(path)
    }

    /// The folder for a closure that waits.
    package static func use(_ body: (String) async throws -> Void) async throws {
        let path = try make()
        defer { remove(path) }
        try await body(path)
    }

    private static func make() throws -> String {
        var template = Array("/tmp/martlet-test-XXXXXX".utf8CString)
        guard
            let path = unsafe template.withUnsafeMutableBufferPointer({ buffer in
                unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) }
            })
        else { throw Failure() }
        return path
    }

    private static func remove(_ path: String) {
        for name in Fixtures.entries(path) { unsafe unlink(path + "/" + name) }
        unsafe rmdir(path)
    }

    package struct Failure: Error {}
}
