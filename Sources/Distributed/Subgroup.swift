/// Some ranks of a run among themselves, numbered anew: those that hold the same part of a model, or the stages of one
/// pipeline.
package final class Subgroup: Communicator {
    package let rank: Int
    private let all: any Communicator
    private let ranks: [Int]

    /// - Parameter ranks: of `all`, in the order of their numbers here; the rank of `all` is among them.
    package init(_ ranks: [Int], of all: any Communicator) {
        guard let rank = ranks.firstIndex(of: all.rank) else {
            preconditionFailure("Subgroup: rank \(all.rank) is not one of \(ranks)")
        }
        (self.rank, self.all, self.ranks) = (rank, all, ranks)
    }

    package var size: Int { ranks.count }
    package var traffic: Traffic { all.traffic }

    package func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer, from origin: Int?,
        _ purpose: Purpose
    ) throws(CommunicationError) {
        try unsafe all.exchange(sent, to: target.map { ranks[$0] }, received, from: origin.map { ranks[$0] }, purpose)
    }

    package func post(
        _ sent: UnsafeRawBufferPointer, of owner: AnyObject, to target: Int, _ purpose: Purpose
    ) throws(CommunicationError) {
        try unsafe all.post(sent, of: owner, to: ranks[target], purpose)
    }

    package func settle() throws(CommunicationError) { try all.settle() }
    package func abort(_ reason: String) { all.abort(reason) }
}
