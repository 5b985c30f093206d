import MartletPlatform

/// The natural logarithm.
func logarithm(_ value: Double) -> Double { log(value) }
