/// The properties of one scalar in the reference's libraries: its general category (Oniguruma, Unicode 16) and the
/// predicates that other libraries define on older or newer tables. The bits are laid out by `Tools/unicode_tables.py`.
struct ScalarProperties {
    let bits: UInt16

    init(bits: UInt16) { self.bits = bits }

    /// Looks `scalar` up in the shared table. Loops hold ``table`` themselves.
    init(_ scalar: UInt32) { bits = ScalarProperties.table[scalar] }

    static let table = ScalarTable(runs: packedProperties)

    /// Index into `Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn`.
    var category: Int { Int(bits & 31) }

    @inline(__always) var isLetter: Bool { bits & 31 <= 4 }
    @inline(__always) var isMark: Bool { (5...7).contains(bits & 31) }
    @inline(__always) var isNumber: Bool { (8...10).contains(bits & 31) }
    @inline(__always) var isDecimalDigit: Bool { bits & 31 == 8 }
    /// White_Space, on which all the libraries agree.
    @inline(__always) var isSpace: Bool { bits & 1 << 5 != 0 }
    /// Rust's `char::is_numeric`.
    var isNumericInRust: Bool { bits & 1 << 6 != 0 }
    /// ASCII punctuation, or punctuation to `unicode_categories`.
    var isPunctuation: Bool { bits & 1 << 7 != 0 }
    /// True for scalars that BERT's cleaning removes: control, format, private use, unassigned, U+FFFD.
    var isRemovedByCleaning: Bool { bits & 1 << 8 != 0 }
    var isNonspacingMark: Bool { bits & 1 << 9 != 0 }
    var isCombiningMark: Bool { bits & 1 << 10 != 0 }
    /// True for `\w` of Rust's `regex`.
    var isWord: Bool { bits & 1 << 11 != 0 }
}
