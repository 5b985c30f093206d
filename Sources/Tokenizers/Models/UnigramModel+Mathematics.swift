import MartletPlatform

extension UnigramModel {
    static func exponential(_ x: Double) -> Double { exp(x) }
    static func logOnePlus(_ x: Double) -> Double { log1p(x) }
}
