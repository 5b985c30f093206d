internal import MartletJSON

/// A device that runs models, each figure with where it was read and when.
///
/// Peaks are dense (no sparsity); capacity is what the vendor prints, in units of 10⁹ bytes; the link counts both
/// directions.
public struct Hardware: Sendable {
    /// A figure with its origin.
    public struct Figure: Sendable, Hashable {
        /// The number in SI units.
        public let value: Double
        /// The place where the number is published.
        public let source: String
        /// The date of the source.
        public let date: String

        /// A published number.
        public init(_ value: Double, source: String, date: String) {
            (self.value, self.source, self.date) = (value, source, date)
        }
    }

    /// The field of a device: what is known of it. Not all is known of all.
    public enum Field: String, Sendable, Hashable, CaseIterable {
        case halfPeak = "half_flops"
        case eightBitPeak = "fp8_flops"
        case integerPeak = "int8_flops"
        case tf32Peak = "tf32_flops"
        case singlePeak = "single_flops"
        case memory = "memory_bytes"
        case bandwidth = "bandwidth_bytes_per_second"
        case watts
        case link = "link_bytes_per_second"
        /// The number of devices that the link joins.
        case linkDomain = "link_domain"
        /// The number of multiprocessors, over which a product's tiles are dealt.
        case processors
        /// The share of the peak that the best matrix products reach, measured.
        case matmulCeiling = "matmul_ceiling"
        /// The network bandwidth of each device to devices beyond the link's, in bytes per second.
        case network = "network_bytes_per_second"
        case price = "usd_per_hour"
    }

    /// The name of the device.
    public let name: String
    /// Other names of it.
    public let aliases: [String]
    /// The published numbers by what they mean.
    public let figures: [Field: Figure]

    /// A device with its published numbers.
    public init(name: String, aliases: [String] = [], figures: [Field: Figure]) {
        (self.name, self.aliases, self.figures) = (name, aliases, figures)
    }

    /// The number for `field`; nil where none is published.
    public subscript(field: Field) -> Double? { figures[field]?.value }

    /// The figure, or an error that names the device and the field.
    public func require(_ field: Field) throws(PlanningError) -> Double {
        guard let value = self[field] else {
            throw .impossible("\(name): \(field.rawValue) is not known; give it in a hardware file")
        }
        return value
    }

    /// The peak for weights and activations of a type.
    public func peak(for type: StorageType) -> Double? {
        switch type {
        case .f32, .f64: self[.singlePeak]
        case .f8: self[.eightBitPeak] ?? self[.halfPeak] ?? self[.singlePeak]
        default: self[.halfPeak] ?? self[.singlePeak]
        }
    }
}

/// Devices by name.
public struct HardwareTable: Sendable {
    /// The devices, in the order of the tables.
    public private(set) var devices: [Hardware]

    /// A table of these devices.
    public init(devices: [Hardware]) { self.devices = devices }

    /// The table that ships with the package.
    public static func standard() throws(PlanningError) -> HardwareTable {
        try HardwareTable(reading: EmbeddedTables.hardware, name: "hardware.json")
    }

    /// Reads a table: `sources` by key with title and date, and `devices`, each field `[value, source key]`, or a plain
    /// number whose source is then the file.
    public init(reading bytes: [UInt8], name: String) throws(PlanningError) {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch { throw .table(name: name, problems: ["\(error)"]) }
        var problems: [String] = []
        let sources = json["sources"]?.objectValue ?? JSONObject()
        devices = (json["devices"]?.arrayValue ?? []).compactMap { device in
            HardwareTable.device(device, sources: sources, file: name, &problems)
        }
        if devices.isEmpty { problems.append("no devices") }
        guard problems.isEmpty else { throw .table(name: name, problems: problems) }
    }

    private static func device(
        _ json: JSON, sources: JSONObject, file: String, _ problems: inout [String]
    ) -> Hardware? {
        guard let object = json.objectValue, let name = object["name"]?.stringValue else {
            problems.append("a device has no name")
            return nil
        }
        var figures: [Hardware.Field: Hardware.Figure] = [:]
        for (key, value) in object.members where key != "name" && key != "aliases" {
            guard let field = Hardware.Field(rawValue: key) else {
                problems.append(
                    "\(name): \(key) is not a field; fields are \(Hardware.Field.allCases.map(\.rawValue).joined(separator: ", "))"
                )
                continue
            }
            let source = value[1]?.stringValue
            guard let number = value[0]?.doubleValue ?? value.doubleValue, number > 0 else {
                problems.append("\(name): \(key) must be a positive number, or [number, source]")
                continue
            }
            let origin = source.flatMap { sources[$0] }
            if let source, origin == nil {
                problems.append("\(name): \(key) names the source \(source), which the file does not list")
            }
            figures[field] = Hardware.Figure(
                number, source: origin?["title"]?.stringValue ?? file,
                date: origin?["date"]?.stringValue ?? "not stated")
        }
        let aliases = object["aliases"]?.arrayValue?.compactMap(\.stringValue) ?? []
        return Hardware(name: name, aliases: aliases, figures: figures)
    }

    /// Adds the devices of another table in front, so that a name in both means the other's.
    public mutating func add(_ other: HardwareTable) { devices = other.devices + devices }

    /// The device called `name`, in any case.
    public func device(named name: String) throws(PlanningError) -> Hardware {
        let wanted = name.lowercased()
        let found = devices.first {
            $0.name.lowercased() == wanted || $0.aliases.contains { $0.lowercased() == wanted }
        }
        guard let found else { throw .unknownHardware(name, known: devices.map(\.name)) }
        return found
    }
}
