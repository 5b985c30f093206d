import ArgumentParser
import MartletPlatform

/// The option to write over what is there already: the same words for every verb that writes files.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Overwrite what is there.")
    var force = false

    /// - Parameters:
    ///   - path: the file or folder to write; nil for none.
    ///   - inputs: the files and folders that the verb reads, or writes beside this one.
    /// - Throws: ``FileError`` for a file that is not empty, or a folder that is not, unless `--force` is given; and
    ///   for one of `inputs`, or something in one, in any case.
    func check(_ path: String?, inputs: [String?] = []) throws(FileError) {
        guard let path else { return }
        if inputs.contains(where: { $0.map { OutputOptions.reads($0, path) } ?? false }) {
            throw FileError(path: path, operation: "write", reason: "it is one of the files that are read")
        }
        guard !force, OutputOptions.isThere(path) else { return }
        throw FileError(path: path, operation: "write", reason: "it is there already; give --force to replace it")
    }

    private static func isThere(_ path: String) -> Bool {
        Folder.isFile(path) ? Folder.size(of: path) != 0 : !Folder.names(in: path).isEmpty
    }

    /// True where `path` is `input`, by whatever name, or something there in it that is read with it.
    private static func reads(_ input: String, _ path: String) -> Bool {
        if let one = identity(input), one == identity(path) { return true }
        let (whole, part) = (Folder.absolute(input), Folder.absolute(path))
        if whole.utf8.elementsEqual(part.utf8) { return true }
        guard fileExists(path), part.utf8.starts(with: (whole + "/").utf8) else { return false }
        return !Folder.isFile(path) || modelFiles.contains { part.hasSuffix($0) }
    }

    /// The endings of names of files that are read where a model's folder is.
    private static let modelFiles = [".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".tiktoken"]

    /// The identity of a file, that no other has; nil where there is none.
    private static func identity(_ path: String) -> [UInt64]? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return [UInt64(status.st_dev), UInt64(status.st_ino)]
    }
}
