import MartletLayers
import MartletModels
import MartletTensors

/// Logits none of which is a number: a broken weight makes every one of them NaN, and no token follows from such.
enum UndefinedLogits {
    /// The number of tokens of a text that are read again to find where numbers end.
    private static let examined = 256

    /// The error where layer `layer` is the first whose output holds NaN, or with nil where none does.
    static func error(firstIn layer: Int?) -> GenerationError {
        let place =
            layer.map { "layer \($0) is the first whose output is not one" }
            ?? "the outputs of all layers are, so that the head is broken"
        return GenerationError(
            .failure,
            [
                "no logit is a number (NaN): \(place); a weight in the file is damaged, or too large for the type in which it is stored"
            ])
    }

    static func error(_ decoder: Decoder, after tokens: [Int32], on device: Device) -> GenerationError {
        var rows = Rows()
        rows.append(Array(tokens.prefix(examined)))
        var (first, state): (Int?, Uncached) = (nil, Uncached())
        _ = decoder.hidden(rows, &state, on: device) { layer, output in
            if first == nil, !output.isFinite { first = layer }
        }
        return error(firstIn: first)
    }

    static func error(
        _ model: EncoderDecoder, _ source: Source, after tokens: [Int32], on device: Device
    ) -> GenerationError {
        var rows = Rows()
        for _ in source.ranges { rows.append(Array(tokens.prefix(examined))) }
        var (first, state): (Int?, Uncached) = (nil, Uncached())
        _ = model.hidden(rows, source: source, &state, on: device) { layer, output in
            if first == nil, !output.isFinite { first = layer }
        }
        return error(firstIn: first)
    }

    /// The error where an encoder made no numbers of its sources, about which nothing can be written; else nil.
    static func error(of source: Source) -> GenerationError? {
        guard !source.hidden.isFinite else { return nil }
        return GenerationError(
            .failure,
            [
                "what the encoder makes of the source is no number (NaN); a weight in the file is damaged, or too large for the type in which it is stored"
            ])
    }
}
