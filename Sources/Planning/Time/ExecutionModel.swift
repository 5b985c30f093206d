/// The execution model of a device, how fast it does a model's operations: a roofline per operation, with the shares
/// that published measurements show are reached.
///
/// A matrix product takes max(operations / (peak · reached), bytes / (bandwidth · reached)) and a launch; its output is
/// dealt in tiles to the multiprocessors, so that a last, half-empty round costs as much as a full one. All constants
/// are the same for every model and layout. ``Reached`` was chosen once, jointly over the eight iterations of
/// arXiv:2205.05198, table 5, where the model is then within 10 %.
package struct ExecutionModel: Sendable {
    /// The shares of a device's figures that are reached.
    package struct Reached: Sendable, Hashable {
        /// The part of the best measured products' speed that a training step's products reach.
        package var products = 0.9
        /// The part of the bandwidth that elementwise passes reach.
        package var memory = 0.75
        /// The part of a link's one-way peak that rings reach.
        package var link = 0.78

        package init() {}
    }

    package let hardware: Hardware
    package let type: StorageType
    /// The rate of large products, in operations per second.
    let productRate: Double
    /// The memory rate of elementwise passes, in bytes per second.
    let memoryRate: Double
    let processors: Double?
    private let reached: Reached
    let launch = 6e-6

    /// The part of the peak that the best products reach, where nobody measured it.
    static let assumedCeiling = 0.8
    /// The bandwidth, one way, to devices beyond the link: 200 Gb/s each, the usual network of the clusters in the
    /// table.
    static let assumedNetwork = 25e9
    private static let tile = (rows: 256, columns: 128)

    /// - Throws: ``PlanningError/impossible(_:)`` when the device's peak or bandwidth is not known.
    package init(
        _ hardware: Hardware, type: StorageType = .bf16, reaching reached: Reached = Reached()
    ) throws(PlanningError) {
        guard let peak = hardware.peak(for: type) else {
            throw .impossible("\(hardware.name): no peak for \(type.rawValue) is known; give it in a hardware file")
        }
        (self.hardware, self.type, self.reached) = (hardware, type, reached)
        productRate = peak * (hardware[.matmulCeiling] ?? ExecutionModel.assumedCeiling) * reached.products
        memoryRate = try hardware.require(.bandwidth) * reached.memory
        processors = hardware[.processors]
    }

    /// The time in seconds of `count` products [rows, inner] × [inner, columns].
    func product(rows: Double, inner: Double, columns: Double, count: Double = 1) -> Double {
        guard rows > 0, inner > 0, columns > 0, count > 0 else { return 0 }
        let bytes = type.bitsPerElement / 8
        let moved = bytes * count * (rows * inner + inner * columns + rows * columns)
        let operations = 2 * rows * inner * columns * count
        return max(operations * rounds(rows, columns, count) / productRate, moved / memoryRate) + launch
    }

    /// The factor by which whole rounds of tiles take longer than the tiles themselves; 1 once there are many rounds.
    private func rounds(_ rows: Double, _ columns: Double, _ count: Double) -> Double {
        guard let processors else { return 1 }
        let tiles =
            (rows / Double(ExecutionModel.tile.rows)).rounded(.up)
            * (columns / Double(ExecutionModel.tile.columns)).rounded(.up) * count
        let rounds = tiles / processors
        return rounds < 40 ? rounds.rounded(.up) / rounds : 1
    }

    /// The time in seconds of an elementwise pass over so many bytes.
    func pass(bytes: Double) -> Double { bytes > 0 ? bytes / memoryRate + launch : 0 }

    /// The link for a group of `devices`: the fast one where it joins them all, the network otherwise.
    func link(for devices: Int) -> Link {
        if let link = hardware[.link], Double(devices) <= hardware[.linkDomain] ?? 1 {
            return Link(bandwidth: link / 2 * reached.link)
        }
        return network
    }

    var network: Link {
        Link(bandwidth: (hardware[.network] ?? ExecutionModel.assumedNetwork) * reached.link)
    }

    /// The assumptions that were made because the table does not say.
    package var assumptions: [String] {
        var list = [
            "products reach \(shortened(reached.products)) of the best measured speed, elementwise passes \(shortened(reached.memory)) and rings \(shortened(reached.link)) of the peak bandwidth"
        ]
        if hardware[.matmulCeiling] == nil {
            list.append(
                "nobody's measurement of the best products is in the table: \(shortened(ExecutionModel.assumedCeiling)) of the peak"
            )
        }
        if hardware[.network] == nil {
            list.append("\(shortened(ExecutionModel.assumedNetwork)) bytes/s per device between groups")
        }
        return list
    }
}
