import MartletPlatform
import Testing

/// Writes to a pipe that another process has set not to wait.
@Suite struct WriteTests {
    @Test func aFullPipeIsWaitedFor() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        _ = fcntl(writer, F_SETFL, O_NONBLOCK)
        // More than a pipe holds.
        let bytes = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let thread = try #require(
            SystemThread {
                usleep(20_000)
                _ = bytes.withUnsafeBytes { writeAll(writer, $0) }
                close(writer)
            })
        var read: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 5_000)
        while case let count = buffer.withUnsafeMutableBytes({ readBytes(reader, into: $0) }), count > 0 {
            read += buffer[..<count]
        }
        thread.join()
        close(reader)
        #expect(read == bytes)
    }
}
