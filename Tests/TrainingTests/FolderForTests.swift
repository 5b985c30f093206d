import MartletPlatform
import MartletTraining

/// A folder that goes away with the value.
final class FolderForTests {
    let path: String

    init() {
        var name = Array("/tmp/martlet-training-XXXXXX".utf8CString)
        path = unsafe name.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let made = unsafe mkdtemp(base) else { return "/tmp" }
            return unsafe String(cString: made)
        }
    }

    deinit { FolderForTests.remove(path) }

    private static func remove(_ path: String) {
        for name in Folder.names(in: path) { remove(path + "/" + name) }
        Folder.remove(path)
    }

    func write(_ text: String, to name: String) -> String {
        let file = path + "/" + name
        let handle = unsafe fopen(file, "w")
        unsafe fputs(text, handle)
        if let handle = unsafe handle { unsafe fclose(handle) }
        return file
    }

    /// A text of 200 lines that a tiny model can learn something from.
    func writeText() -> String {
        write((0..<200).map { "line \($0 * 7919 % 1000) of a text to learn from\n" }.joined(), to: "text")
    }
}
