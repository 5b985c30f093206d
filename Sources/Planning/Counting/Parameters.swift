package import MartletLayers

/// Parameters of a model, each tensor once.
package struct ParameterCount: Sendable {
    package let tensors: [ParameterTensor]
    private let blueprint: Blueprint

    package init(_ blueprint: Blueprint) { (tensors, self.blueprint) = (blueprint.tensors, blueprint) }

    private func sum(_ value: (ParameterTensor) -> Count) -> Count { tensors.reduce(0) { $0 + value($1) } }

    /// Every trainable tensor once; a table that is also the head counts once; buffers (rotary tables) do not count.
    package var total: Quantity {
        Quantity(sum(\.elements), .parameters, .parametersTotal, [.init("tensors", tensors.count)])
    }

    /// The active parameters, which one token meets: the experts it is not sent to do not count; router, tables and
    /// head do.
    package var active: Quantity {
        let idle = sum { $0.elements - $0.activeElements }
        return Quantity(
            sum(\.activeElements), .parameters, .parametersActive,
            [.init("total", sum(\.elements)), .init("elements of experts not routed to", idle)])
    }

    /// The active ones without the table that tokens are looked up in; a tied table still counts, for the head
    /// multiplies by it.
    package var activeWithoutTokenTable: Quantity {
        let table = headIsTied ? 0 : sum { $0.role == .tokens ? $0.elements : 0 }
        return Quantity(
            sum(\.activeElements) - table, .parameters, .parametersActiveWithoutTable,
            [.init("active", sum(\.activeElements)), .init("token table", table)])
    }

    /// Total less the token table and the output projection; positions, norms and biases stay in.
    package var nonEmbedding: Quantity {
        let outside = sum { isTableOrHead($0) ? $0.elements : 0 }
        return Quantity(
            sum(\.elements) - outside, .parameters, .parametersNonEmbedding,
            [.init("total", sum(\.elements)), .init("token table and output projection", outside)])
    }

    /// Total less norms and biases: what papers count that print "matrices only".
    package var matrices: Quantity {
        let vectors = sum { $0.use == .elementwise ? $0.elements : 0 }
        return Quantity(
            sum(\.elements) - vectors, .parameters, .parametersMatrices,
            [.init("total", sum(\.elements)), .init("norms and biases", vectors)])
    }

    /// The number of elements that would be stored twice if the output projection were not the token table; 0 when it
    /// is not.
    package var tied: Quantity {
        let count = headIsTied ? Count(blueprint.vocabulary) * Count(blueprint.head.width) : 0
        return Quantity(
            count, .parameters, .parametersTied,
            [.init("vocabulary", blueprint.vocabulary), .init("width", blueprint.head.width)])
    }

    /// The elements by role, roles without any left out.
    package var byRole: [(role: ParameterRole, elements: Count)] {
        ParameterRole.allCases.compactMap { role in
            let elements = sum { $0.role == role ? $0.elements : 0 }
            return elements > 0 ? (role, elements) : nil
        }
    }

    var headIsTied: Bool { blueprint.headIsTied }

    private func isTableOrHead(_ tensor: ParameterTensor) -> Bool {
        tensor.role == .tokens || (tensor.role == .head && tensor.use == .multiplied(.own))
    }
}

extension Formula {
    static let parametersTotal = Formula(
        "parameters.total", "Σ elements over every trainable tensor", convention: "ties once, buffers out",
        source: "the list of tensors")
    static let parametersActive = Formula(
        "parameters.active", "total − elements of experts not routed to",
        convention: "router, shared experts, tables and head count", source: "arXiv:2401.04088")
    static let parametersActiveWithoutTable = Formula(
        "parameters.active_without_token_table", "active − token table",
        convention: "a tied table stays, since the head multiplies by it",
        source: "gpt-oss model card, arXiv:2508.10925")
    static let parametersNonEmbedding = Formula(
        "parameters.non_embedding", "total − token table − output projection", convention: "positions stay in",
        source: "Pythia, arXiv:2304.01373")
    static let parametersMatrices = Formula(
        "parameters.matrices", "total − norms − biases", convention: "matrices only", source: "PaLM, arXiv:2204.02311")
    static let parametersTied = Formula(
        "parameters.tied", "vocabulary · width when the head is the token table",
        convention: "counted once in the total",
        source: "the description's head")
}
