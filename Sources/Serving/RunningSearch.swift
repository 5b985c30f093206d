import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors

/// A beam search from one prompt, whose beams are rows of the common step.
struct RunningSearch {
    var item: BeamItem
    let text: SearchRequest.Text
    /// The sequences of the cache that the beams are; one until they part.
    var beams: [SequenceID]
    /// No text is longer, so that sums do not overflow.
    private static let longest = 1 << 40

    /// The tokens that rules take as the source of the text.
    var source: [Int32] { text.source.isEmpty ? text.prompt : text.source }

    /// Blocks of each table that a search holds at most. Whole blocks of the prompt are shared by all beams, unless
    /// each reads it anew when it outgrows a length.
    static func blocks(
        _ options: BeamSearch.Options, _ text: SearchRequest.Text, _ layout: KeyValueLayout, _ model: Architecture
    ) -> Int {
        let prompt = text.prompt.count
        let length = min(prompt + min(max(0, options.maximumTokens), longest), model.context ?? longest)
        let isRead = model.rereadsBeyond.map { length > $0 } ?? false
        let shared = isRead ? 0 : min(prompt, length) / BlockLayout.positions
        let own = shared + options.beams * (BlockLayout.blocks(for: length) - shared)
        // Cross-attention's keys and values are counted in blocks of the first table.
        let across = BlockLayout.blocks(for: text.source.count) * (layout.source?.bytes ?? 0)
        let unit = max(1, layout.tables.first?.bytes ?? 1)
        return own + (across + unit - 1) / unit
    }
}
