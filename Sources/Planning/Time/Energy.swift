/// Energy, carbon and money of device hours.
package enum Energy {
    private static let source = "Patterson et al. 2021, arXiv:2104.10350"

    /// The energy in kWh, hours · watts · PUE.
    package static func kilowattHours(deviceHours: Double, watts: Double, pue: Double) -> Quantity {
        Quantity(
            deviceHours * watts * pue / 1000, .kilowattHours,
            Formula(
                "energy.electricity", "device hours · watts · PUE", convention: "the device only, at the stated power",
                source: source), [.init("device hours", deviceHours), .init("W", watts), .init("PUE", pue)])
    }

    /// The device hours of operations, C / (FLOP/s of a device) device seconds.
    package static func deviceHours(operations: Double, achievedPerDevice: Double) -> Quantity {
        Quantity(
            operations / achievedPerDevice / 3600, .hours,
            Formula(
                "time.device_hours", "C / achieved FLOP/s per device", convention: "achieved, not peak", source: source),
            [.init("C", operations), .init("FLOP/s", achievedPerDevice)])
    }

    /// The carbon in kg CO2e, energy · carbon intensity.
    package static func carbon(kilowattHours: Double, kilogramsPerKilowattHour: Double) -> Quantity {
        Quantity(
            kilowattHours * kilogramsPerKilowattHour, .kilograms,
            Formula("energy.carbon", "kWh · kg CO2e/kWh", convention: "of the grid, at run time", source: source),
            [.init("kWh", kilowattHours), .init("kg/kWh", kilogramsPerKilowattHour)])
    }

    /// The money in USD, device hours · price.
    package static func money(deviceHours: Double, dollarsPerHour: Double) -> Quantity {
        Quantity(
            deviceHours * dollarsPerHour, .dollars,
            Formula(
                "money.rent", "device hours · USD per device hour", convention: "rented devices only",
                source: "definition"),
            [.init("device hours", deviceHours), .init("USD/h", dollarsPerHour)])
    }

    /// Carbon intensities that published reports used, for readers who have nothing better.
    package static let publishedIntensities: [(place: String, kilogramsPerKilowattHour: Double, source: String)] = [
        ("US average, as LLaMA", 0.385, "arXiv:2302.13971 §6"),
        ("GPT-3's data centre", 0.429, "arXiv:2104.10350 table 4"),
        ("France, as BLOOM", 0.057, "arXiv:2211.02001"),
    ]
    /// Power usage effectiveness of the reports above: LLaMA and GPT-3 1.1, BLOOM 1.2.
    package static let publishedPUE = (low: 1.1, middle: 1.1, high: 1.2)
}

/// A run's energy, carbon and money as ranges over its time's range and the stated assumptions.
package struct RunCost: Sendable {
    package let energy: Quantity?
    package let carbon: Quantity?
    package let money: Quantity?

    /// - Parameters:
    ///   - seconds: the time of the run, a range.
    ///   - watts: of one device; its board power, of which a run draws 70 to 100 %.
    ///   - intensity: kg CO2e/kWh; nil: the published ones from low to high.
    ///   - price: USD per device hour; nil: no money.
    package init(seconds: Quantity, devices: Int, watts: Double?, intensity: Double?, price: Double?) {
        let hours = seconds.map { $0 / 3600 * Double(devices) }
        money = price.map { price in
            Quantity(
                Quantity.Value(hours.map { $0 * price }), .dollars,
                Formula(
                    "money.rent", "device hours · USD per device hour", convention: "rented devices only",
                    source: "definition"),
                [.init("USD/h", price), .init("devices", devices)])
        }
        guard let watts else {
            (energy, carbon) = (nil, nil)
            return
        }
        let pue = Energy.publishedPUE
        let energyRange = Range3(
            low: hours.low * watts * 0.7 * pue.low / 1000, middle: hours.middle * watts * pue.middle / 1000,
            high: hours.high * watts * pue.high / 1000)
        energy = Quantity(
            Quantity.Value(energyRange), .kilowattHours,
            Formula(
                "energy.electricity", "device hours · watts · PUE",
                convention: "PUE 1.1 to 1.2; 70 to 100 % of the board's power", source: "arXiv:2104.10350"),
            [.init("W", watts), .init("devices", devices)])
        let sorted = Energy.publishedIntensities.map(\.kilogramsPerKilowattHour).sorted()
        let (low, middle, high) = intensity.map { ($0, $0, $0) } ?? (sorted[0], sorted[1], sorted[sorted.count - 1])
        carbon = Quantity(
            .range(low: energyRange.low * low, middle: energyRange.middle * middle, high: energyRange.high * high),
            .kilograms,
            Formula(
                "energy.carbon", "kWh · kg CO2e/kWh",
                convention: intensity == nil
                    ? "published grids from \(low) to \(high) kg/kWh" : "\(low) kg/kWh as given",
                source: "arXiv:2104.10350"))
    }
}

/// The three ends of a range, for arithmetic.
struct Range3: Sendable {
    var low: Double
    var middle: Double
    var high: Double

    func map(_ change: (Double) -> Double) -> Range3 {
        Range3(low: change(low), middle: change(middle), high: change(high))
    }
}

extension Quantity.Value {
    init(_ range: Range3) { self = .range(low: range.low, middle: range.middle, high: range.high) }
}

extension Quantity {
    /// The ends of a range; three times the same where it is one number.
    func map(_ change: (Double) -> Double) -> Range3 {
        if case .range(let low, let middle, let high) = value {
            return Range3(low: low, middle: middle, high: high).map(change)
        }
        return Range3(low: amount, middle: amount, high: amount).map(change)
    }
}
