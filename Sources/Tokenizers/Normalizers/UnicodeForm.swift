/// NFC, NFD, NFKC and NFKD (UAX #15), on the reference's tables.
///
/// Text is read in runs that begin at a scalar which is already in the form and joins nothing before it; other text is
/// copied. Sources go by order, as in the reference: each scalar that comes out stands for the next that went in, a
/// composed one for as many as it took; one that a decomposition added stands for the last that was taken, wherever
/// canonical ordering moved it.
enum UnicodeForm: String, Normalizer {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    private var isCompatibility: Bool { self == .nfkc || self == .nfkd }
    private var composes: Bool { self == .nfc || self == .nfkc }
    private var stabilityBit: UInt16 {
        switch self {
        case .nfc: 1
        case .nfd: 2
        case .nfkc: 4
        case .nfkd: 8
        }
    }

    private struct Element {
        var scalar: UInt32
        var source: Int
        let combiningClass: UInt16
        /// The number of scalars that went in which it takes: 0 for one that a decomposition added.
        var taken: Int
    }

    func normalize(_ text: inout StagedText) {
        let data = NormalizationData.shared
        let stability = data.stability
        let bit = stabilityBit
        // All of ASCII is stable in each form.
        guard let firstHigh = text.bytes.firstIndex(where: { $0 >= 0x80 }) else { return }
        let source = text.bytes
        let bytes = source.span
        var index = max(firstHigh - 1, 0)
        var runStart = index
        var copied = 0
        var rewriter: Rewriter?
        while index < bytes.count {
            let scalar = bytes.scalar(at: index)
            if stability[scalar.value] & bit != 0 {
                runStart = index
                index += scalar.length
                continue
            }
            var end = index + scalar.length
            while end < bytes.count {
                let following = bytes.scalar(at: end)
                if stability[following.value] & bit != 0 { break }
                end += following.length
            }
            var output = rewriter ?? Rewriter(text)
            output.copy(copied..<runStart, of: bytes)
            for element in form(of: bytes, runStart..<end, data) { output.append(element.scalar, from: element.source) }
            rewriter = output
            (copied, index, runStart) = (end, end, end)
        }
        guard var rewriter else { return }
        rewriter.copy(copied..<bytes.count, of: bytes)
        rewriter.finish(&text)
    }

    private func form(of bytes: Span<UInt8>, _ range: Range<Int>, _ data: NormalizationData) -> [Element] {
        var elements: [Element] = []
        var sources: [Int] = []
        var index = range.lowerBound
        while index < range.upperBound {
            let scalar = bytes.scalar(at: index)
            var taken = 1
            for part in data.decomposition(scalar.value, isCompatibility: isCompatibility) {
                let combiningClass = data.combiningClass(part)
                elements.append(Element(scalar: part, source: index, combiningClass: combiningClass, taken: taken))
                taken = 0
            }
            sources.append(index)
            index += scalar.length
        }
        UnicodeForm.reorder(&elements)
        if composes { elements = UnicodeForm.compose(elements, data) }
        var place = 0
        for index in elements.indices {
            let isAdded = elements[index].taken == 0
            elements[index].source = sources[min(max(0, isAdded ? place - 1 : place), sources.count - 1)]
            place += elements[index].taken
        }
        return elements
    }

    /// Canonical ordering: a stable sort by class of each run of scalars that are no starters.
    private static func reorder(_ elements: inout [Element]) {
        var start = 0
        while start < elements.count {
            guard elements[start].combiningClass != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < elements.count, elements[end].combiningClass != 0 { end += 1 }
            // Sorting by (class, place) is stable and costs n·log n also for a megabyte of marks.
            let sorted = elements[start..<end].enumerated().sorted {
                ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
            }
            for (offset, entry) in sorted.enumerated() { elements[start + offset] = entry.element }
            start = end
        }
    }

    /// Canonical composition: each scalar joins the last starter unless one between them blocks it.
    private static func compose(_ elements: [Element], _ data: NormalizationData) -> [Element] {
        var result: [Element] = []
        result.reserveCapacity(elements.count)
        var starter: Int?
        var lastClass: UInt16 = 0
        for element in elements {
            if let at = starter, lastClass < element.combiningClass || result.count == at + 1,
                let composite = data.composition(result[at].scalar, element.scalar)
            {
                result[at].scalar = composite
                result[at].taken += element.taken
                continue
            }
            if element.combiningClass == 0 { starter = result.count }
            lastClass = element.combiningClass
            result.append(element)
        }
        return result
    }
}
