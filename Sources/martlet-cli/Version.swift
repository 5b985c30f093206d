import MartletTensors

/// The version that `--version` prints: the release, the commit that it was built from, and the kernels that run here.
enum Version {
    static let number = "0.1.0"
    /// The commit; `Scripts/release` writes it into the copy that it builds.
    static let commit = "development"

    static var text: String { "\(number) (\(commit)), kernels \(Processor.kernels)" }
}
