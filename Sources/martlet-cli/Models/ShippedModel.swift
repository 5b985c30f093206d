import CShippedModel
import MartletPlatform
import MartletTensors

/// The model inside the binary, as a file that lies in no folder: anonymous memory that a path leads to, so that whoever reads models from
/// files reads this one too, even where nothing can be written.
enum ShippedModel {
    /// - Throws: ``FileError`` when the system gives no such memory.
    static func path() throws(FileError) -> String {
        let descriptor = martlet_shipped_model_open()
        guard descriptor >= 0 else {
            throw FileError(
                path: "the model that ships with Martlet", operation: "unpack",
                reason: unsafe String(cString: strerror(errno)))
        }
        return "/proc/self/fd/\(descriptor)"
    }
}
