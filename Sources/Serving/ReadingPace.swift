/// The pace of reading on this machine: how many rows of prompts a step has beside the texts that are written, by what
/// the latest steps took.
///
/// A step is taken to last as long as one that only writes, and for each row that it reads the most that one of the
/// latest took, so that other work of the machine shows in the next step. Decides how many rows are computed, never
/// what they come to.
package struct ReadingPace: Sendable {
    /// The number of steps that are remembered, and the fewest rows that say something about each.
    private static let remembered = 8
    private static let fewest = 8
    /// Rows of the first step, and of any.
    private static let first = 32
    private static let most = 2_048

    /// The seconds of the latest step that only wrote.
    private var writing = 0.0
    /// The seconds per row of the latest steps that read, the oldest in the place `next`.
    private var rowSeconds: [Double] = []
    private var next = 0
    /// The rows that the latest of them read.
    private var latest = first

    package init() {}

    /// A step that read so many rows beside others that write took so long.
    package mutating func note(_ seconds: Double, rows: Int) {
        guard seconds > 0 else { return }
        guard rows > 0 else { return writing = seconds }
        // A short rest of a prompt says nothing of a row.
        guard rows >= ReadingPace.fewest else { return }
        // What was written in it took less than all of it, whatever it took before.
        writing = min(writing, seconds / 2)
        let row = (seconds - writing) / Double(rows)
        if rowSeconds.count < ReadingPace.remembered { rowSeconds.append(row) } else { rowSeconds[next] = row }
        next = (next + 1) % ReadingPace.remembered
        latest = rows
    }

    /// The number of rows by which a step lasts so long; half of the time is for them even where writing alone takes
    /// longer, or half as long as writing does. At most twice as many as the latest step read, so that one wrong
    /// measurement does no harm.
    package func rows(within seconds: Double) -> Int {
        guard let row = rowSeconds.max() else { return ReadingPace.first }
        let rows = max(seconds - writing, seconds / 2, writing / 2) / row
        return Int(min(rows, Double(min(2 * latest, ReadingPace.most))))
    }
}
