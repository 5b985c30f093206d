internal import CMartletPlanningData

/// The tables that ship inside the binary.
enum EmbeddedTables {
    /// Devices, as ``HardwareTable`` reads them.
    static var hardware: [UInt8] {
        unsafe Array(UnsafeBufferPointer(start: martlet_hardware_json_bytes(), count: martlet_hardware_json_size))
    }

    /// Configurations of published models, by name.
    static var presets: [UInt8] {
        unsafe Array(UnsafeBufferPointer(start: martlet_presets_json_bytes(), count: martlet_presets_json_size))
    }
}
