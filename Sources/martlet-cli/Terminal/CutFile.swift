import MartletPlatform

/// A file that is cut while it is read through a mapping: the system says so by SIGBUS, on whichever thread reads. The
/// command then ends with a line and exit code 1. The library installs no handler: there it is the host's to decide.
enum CutFile {
    private static let message: StaticString =
        "martlet: a file was cut short while it was read; put whole files in place by renaming them, and try again\n"

    /// Ends the process with a sentence where a mapped file ends early, from now on.
    static func watch() {
        _ = signal(SIGBUS) { _ in
            _ = unsafe writeBytes(2, CutFile.message.utf8Start, CutFile.message.utf8CodeUnitCount)
            _exit(1)
        }
    }
}
