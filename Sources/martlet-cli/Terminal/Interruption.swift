import MartletPlatform
import Synchronization

/// Ctrl-C as a wish: while an answer is written it ends the answer, and not the program.
enum Interruption {
    private static let count = Atomic<Int>(0)

    /// Takes Ctrl-C from now on.
    static func watch() { _ = signal(SIGINT) { _ in Interruption.count.add(1, ordering: .relaxed) } }

    /// The number of times it was pressed.
    static var presses: Int { count.load(ordering: .relaxed) }
}
