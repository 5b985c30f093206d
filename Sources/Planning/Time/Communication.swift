/// The link between devices: how long they take to exchange data over rings.
package struct Link: Sendable, Hashable {
    /// The bandwidth, in bytes per second that one device sends, one way.
    package var bandwidth: Double
    /// The latency, in seconds before the first byte moves.
    package var latency: Double

    package init(bandwidth: Double, latency: Double = 10e-6) { (self.bandwidth, self.latency) = (bandwidth, latency) }

    /// The seconds of an all-reduce, 2·(n − 1)/n · bytes / bandwidth: every device ends with the sum.
    package func allReduce(_ bytes: Double, devices: Int) -> Double {
        devices > 1 ? 2 * Double(devices - 1) / Double(devices) * bytes / bandwidth + latency : 0
    }

    /// The seconds of an all-gather or reduce-scatter, (n − 1)/n · bytes / bandwidth: every device ends with all parts,
    /// or each with the sum of one part.
    package func allGather(_ bytes: Double, devices: Int) -> Double {
        devices > 1 ? Double(devices - 1) / Double(devices) * bytes / bandwidth + latency : 0
    }

    /// The seconds of an all-to-all, (n − 1)/n · bytes / bandwidth: every device sends a part to every other.
    package func allToAll(_ bytes: Double, devices: Int) -> Double { allGather(bytes, devices: devices) }

    /// The seconds of a send from one device to another.
    package func send(_ bytes: Double) -> Double { bytes / bandwidth + latency }

    /// The share of a pipeline's time in which a device waits: (p − 1) / (v · m) of the work (arXiv:2104.04473).
    package static func bubble(stages: Int, microBatches: Int, interleave: Int = 1) -> Quantity {
        let value = Double(stages - 1) / Double(max(interleave * microBatches, 1))
        return Quantity(
            value, .ratio,
            Formula(
                "time.bubble", "(p − 1) / (v · m)", convention: "of the time of the work itself",
                source: "arXiv:2104.04473 §2.2"),
            [.init("p", stages), .init("v", interleave), .init("m", microBatches)])
    }
}
