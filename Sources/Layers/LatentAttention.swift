import MartletTensors

/// The projections of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434).
///
///     c = down(x)                                 [keyValue + rotated]
///     keys, values = up(norm(c[..<keyValue]))     by head
///     key = keys, then c[keyValue...]             for every head
///
/// Keys and values are kept in the cache as attention reads them, not as the narrow row.
struct LatentProjections: Sendable {
    private let form: Architecture.Attention
    private let latent: Architecture.Latent
    let queryDown: Linear?
    let queryNorm: NormLayer?
    private let keyValueNorm: NormLayer
    /// The projections, `[heads · headWidth, query or width]`, `[keyValue + rotated, width]`, `[heads · (headWidth −
    /// rotated + valueWidth), keyValue]`.
    let query, keyValueDown, keyValueUp: Linear

    init(_ form: Architecture.Attention, _ latent: Architecture.Latent, width: Int, _ scope: Scope) {
        (self.form, self.latent) = (form, latent)
        let bias = form.bias.presence(of: .query)
        queryDown = latent.query.map { Linear(width, $0, bias: bias, .latentQuery, scope["queryDown"]) }
        queryNorm = latent.query.map { NormLayer(latent.norm, width: $0, scope["queryNorm"]) }
        query =
            latent.query.map { Linear($0, form.queryWidth, bias: .absent, .latentQuery, scope["queryUp"]) }
            ?? Linear(width, form.queryWidth, bias: .absent, .query, scope["query"])
        keyValueDown = Linear(
            width, latent.keyValue + latent.rotated, bias: bias, .latentKeyValue, scope["keyValueDown"])
        keyValueNorm = NormLayer(latent.norm, width: latent.keyValue, scope["keyValueNorm"])
        let each = form.headWidth - latent.rotated + latent.valueWidth
        keyValueUp = Linear(
            latent.keyValue, form.queryHeads * each, bias: .absent, .latentKeyValue, scope["keyValueUp"])
    }

    /// The queries, keys and values of rows, from `[rows, width]` to queries and keys `[rows, heads, headWidth]` and
    /// values `[rows, heads, valueWidth]`.
    func callAsFunction(_ x: Tensor) -> (query: Tensor, key: Tensor, value: Tensor) {
        let narrow = queryDown.map { queryNorm?($0(x)) ?? $0(x) } ?? x
        let down = keyValueDown(x)
        return heads(query: query(narrow), down: down, up: keyValueUp(normed(down)))
    }

    /// The normed part of the narrow row `down` that keys and values are made of.
    func normed(_ down: Tensor) -> Tensor { keyValueNorm(down.selecting(columns: 0..<latent.keyValue)) }

    /// Queries, keys and values by head, of what the last products gave.
    func heads(query: Tensor, down: Tensor, up: Tensor) -> (query: Tensor, key: Tensor, value: Tensor) {
        let heads = up.withinHeads(
            form.queryHeads, keys: form.headWidth - latent.rotated,
            shared: down.selecting(columns: latent.keyValue..<latent.keyValue + latent.rotated))
        return (query.reshaped([query.shape[0], form.queryHeads, form.headWidth]), heads.keys, heads.values)
    }
}
