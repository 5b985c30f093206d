#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension Double {
    var exponential: Double { exp(self) }
    var logarithm: Double { log(self) }
}
