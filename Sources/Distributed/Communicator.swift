// MartletDistributed: bytes between ranks, and the collectives that sum in an order fixed by the recipe alone. Knows no
// tensor, no model and no file.

/// The ranks of a run, as one of them sees them: point-to-point messages of bytes.
///
/// All ranks make the same calls in the same order, each from one thread at a time. Transports: ``Alone``, ``Crew``
/// (threads of one process) and ``MPICommunicator``.
package protocol Communicator: AnyObject, Sendable {
    /// The number of this rank, from 0.
    var rank: Int { get }
    /// The number of ranks.
    var size: Int { get }
    /// Bytes sent so far, by purpose.
    var traffic: Traffic { get }

    /// Sends `sent` to rank `target` and receives `received` from rank `origin`, at once; nil leaves a half out.
    ///
    /// - Throws: ``CommunicationError`` naming the peer and the purpose, when a peer has gone or the deadline has
    ///   passed.
    func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer, from origin: Int?,
        _ purpose: Purpose
    ) throws(CommunicationError)

    /// Sends `sent` to rank `target` without waiting for it; messages between two ranks arrive in the order in which
    /// they were sent.
    ///
    /// - Parameter owner: keeps the bytes, which must not change before ``settle()``.
    /// - Throws: ``CommunicationError``.
    func post(
        _ sent: UnsafeRawBufferPointer, of owner: AnyObject, to target: Int, _ purpose: Purpose
    ) throws(CommunicationError)

    /// Waits until everything posted has been sent.
    ///
    /// - Throws: ``CommunicationError`` naming the peer and the purpose, when the deadline has passed.
    func settle() throws(CommunicationError)

    /// Ends all ranks, this one included where the transport can.
    func abort(_ reason: String)
}

/// The purpose of a message, under which its bytes are counted and by which a hanging one is named.
package enum Purpose: String, Sendable, CaseIterable {
    case gradients, weights, activations, experts, agreement, evaluation, results, orders
}

/// A message that did not arrive: the peer, the purpose and the remedy.
package struct CommunicationError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}
