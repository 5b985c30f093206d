import MartletPlatform

/// A folder that lasts as long as a test's closure.
package enum TemporaryFolder {
    package static func use(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/martlet-test-XXXXXX".utf8CString)
        guard
            let path = unsafe template.withUnsafeMutableBufferPointer({ buffer in
                unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) }
            })
        else { throw Failure() }
        defer {
            for name in Fixtures.entries(path) { unsafe unlink(path + "/" + name) }
            unsafe rmdir(path)
        }
        try body(path)
    }

    package struct Failure: Error {}
}
