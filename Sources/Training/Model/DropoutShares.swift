package import MartletJSON

/// The shares of elements that become zero at random while a model trains (arXiv:1207.0580).
package struct DropoutShares: Sendable, Hashable {
    /// The dropout after the embeddings, and of each sublayer's result before it joins the residual stream.
    package var residual: Float = 0
    /// The dropout of attention's weights.
    package var attention: Float = 0
    /// The dropout between the two products of a feed-forward.
    package var activation: Float = 0

    package init() {}

    /// The shares that the recipe says; where it is silent, those of config.json, which PyTorch's models go by; else
    /// none.
    ///
    /// - Throws: ``RunError`` for a share of config.json that is none.
    package init(_ recipe: Recipe, _ config: JSONObject) throws(RunError) {
        func share(_ said: Double?, _ keys: [String]) throws(RunError) -> Float {
            if let said { return Float(said) }
            for key in keys {
                guard let value = config[key], !value.isNull else { continue }
                guard let share = value.doubleValue, (0..<1).contains(share) else {
                    throw RunError("model.config.\(key) is \(value.text()), not a share from 0 to below 1")
                }
                return Float(share)
            }
            return 0
        }
        residual = try share(
            recipe.dropout,
            ["dropout", "hidden_dropout_prob", "hidden_dropout", "resid_pdrop", "resid_dropout", "dropout_rate"])
        attention = try share(
            recipe.attentionDropout,
            ["attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "dropout_rate"])
        activation = try share(recipe.activationDropout, ["activation_dropout", "dropout_rate"])
    }
}
