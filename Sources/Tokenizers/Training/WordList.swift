/// Counted words in the order of their bytes. Made by one thread, then read by any number.
final class WordList: @unchecked Sendable {
    private struct Entry: BitwiseCopyable {
        let end: Int
        let count: Int64
    }

    private var bytes: MappedArray<UInt8>
    private var entries: MappedArray<Entry>

    init(_ words: inout WordRuns, _ memory: TrainingMemory) throws(TrainingError) {
        bytes = MappedArray(memory)
        entries = MappedArray(memory)
        try words.forEach { word, count throws(TrainingError) in
            try bytes.append(contentsOf: word)
            try entries.append(Entry(end: bytes.count, count: count))
        }
    }

    var count: Int { entries.count }

    func word(_ index: Int) -> [UInt8] { bytes.array((index == 0 ? 0 : entries[index - 1].end)..<entries[index].end) }

    func times(_ index: Int) -> Int64 { entries[index].count }
}
