import MartletDistributed
import MartletTensors

/// The ranks that compute a pass together, each its part of what they divide, and the messages that this takes.
///
/// Used by one thread at a time, that of the pass.
class RankTeam: MatrixRanks, @unchecked Sendable {
    private let team: any Communicator
    var purpose: Purpose
    private var failure: CommunicationError?

    init(_ team: any Communicator, for purpose: Purpose) { (self.team, self.purpose) = (team, purpose) }

    var rank: Int { team.rank }
    var count: Int { team.size }

    func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int, _ received: UnsafeMutableRawBufferPointer, from origin: Int
    ) {
        guard failure == nil else { return }
        do throws(CommunicationError) {
            try unsafe team.exchange(sent, to: target, received, from: origin, purpose)
        } catch {
            failure = error
        }
    }

    /// Runs `body`, whose messages are for `purpose`; for the team's own where it is nil.
    ///
    /// - Throws: also the first ``CommunicationError`` among them.
    func pass<Result>(_ purpose: Purpose?, _ body: () throws -> Result) throws -> Result {
        let usual = self.purpose
        self.purpose = purpose ?? usual
        defer { self.purpose = usual }
        let result = try body()
        try check()
        return result
    }

    /// - Throws: the first error among messages that could not throw it themselves.
    func check() throws(CommunicationError) { if let failure { throw failure } }
}
