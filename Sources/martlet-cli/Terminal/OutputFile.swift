import ArgumentParser
import MartletPlatform

/// Whether what is there already may be written over: the same words for every verb that writes files.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Write over a file that is there already.")
    var force = false

    /// - Throws: ``FileError`` for a file, or a directory with a model in it, that is there already, unless `--force`
    ///   is given; and for one of `inputs` in any case.
    func check(_ path: String, inputs: [String] = []) throws(FileError) {
        guard let identity = OutputOptions.identity(path) else { return }
        if inputs.contains(where: { OutputOptions.identity($0) == identity }) {
            throw FileError(path: path, operation: "write", reason: "it is one of the files that are read")
        }
        guard !force else { return }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return }
        let isFile = status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
        guard isFile || fileExists(path + "/config.json") else { return }
        throw FileError(path: path, operation: "write", reason: "it is there already; give --force to replace it")
    }

    /// What tells a file from all others; nil where there is none.
    private static func identity(_ path: String) -> [UInt64]? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return [UInt64(status.st_dev), UInt64(status.st_ino)]
    }
}
