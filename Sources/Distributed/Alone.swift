/// The transport of a run with one rank: nothing is ever sent.
package final class Alone: Communicator {
    package let traffic = Traffic()
    package var rank: Int { 0 }
    package var size: Int { 1 }

    package init() {}

    package func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer, from origin: Int?,
        _ purpose: Purpose
    ) throws(CommunicationError) {
        precondition(target == nil && origin == nil, "Alone: a message for \(purpose), but there is no other rank")
    }

    package func post(
        _ sent: UnsafeRawBufferPointer, of owner: AnyObject, to target: Int, _ purpose: Purpose
    ) throws(CommunicationError) {
        preconditionFailure("Alone: a message for \(purpose), but there is no other rank")
    }

    package func settle() throws(CommunicationError) {}

    package func abort(_ reason: String) {}
}
