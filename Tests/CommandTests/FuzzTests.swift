import Foundation
import TestSupport
import Testing

/// Mutated files of every format, always the same ones; `Scripts/fuzz` goes on from there.
@Suite struct FuzzTests {
    /// Mutated files load or throw: none traps, hangs or takes memory without bound.
    @Test func mutationsEndInAnswersOrErrors() throws {
        try TemporaryFolder.use { scratch in
            let result = try Command.run(
                [Fixtures.folder, "--worker", "0", "6000", scratch], of: Command.program("martlet-fuzz"))
            let last = try String(contentsOfFile: scratch + "/at", encoding: .utf8)
            #expect(result.status == 0, "mutation \(last)")
            #expect(last.hasPrefix("5999 "))
        }
    }
}
