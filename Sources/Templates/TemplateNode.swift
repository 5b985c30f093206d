/// A template as a tree.
enum TemplateNode: Sendable {
    case text(String)
    case output(TemplateExpression)
    case conditional([(condition: TemplateExpression?, body: [TemplateNode])])
    case loop(Loop)
    case set(target: Target, value: TemplateExpression)
    /// `{% set x %}…{% endset %}`, perhaps with filters.
    case setBlock(name: Target, filters: [TemplateExpression.Call], body: [TemplateNode])
    case macro(Macro)
    /// `{% call(x) macro() %}…{% endcall %}`: the body is the macro's `caller`.
    case call(TemplateExpression, Macro)
    case filterBlock([TemplateExpression.Call], [TemplateNode])
    case with([(Target, TemplateExpression)], [TemplateNode])
    case `break`
    case `continue`
    /// A body without a meaning of its own (`{% generation %}`).
    case group([TemplateNode])

    indirect enum Target: Sendable {
        case name(String)
        case attribute(String, String)
        case tuple([Target])
    }

    struct Loop: Sendable {
        let target: Target
        let elements: TemplateExpression
        let filter: TemplateExpression?
        let isRecursive: Bool
        let body: [TemplateNode]
        let otherwise: [TemplateNode]
    }

    struct Macro: Sendable {
        let name: String
        let parameters: [(name: String, value: TemplateExpression?)]
        let body: [TemplateNode]
        /// The names that the body reads: `caller`, `varargs` and `kwargs` are given to macros that ask for them only.
        let reads: Set<String>
        /// The body of a call block, which has no name.
        var isCaller = false
    }
}

/// An expression, with the line it stands in.
indirect enum TemplateExpression: Sendable {
    case constant(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(TemplateExpression, TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, TemplateExpression?, TemplateExpression?, TemplateExpression?)
    case call(TemplateExpression, Arguments)
    case filter(TemplateExpression, Call)
    case test(TemplateExpression, Call, isNegated: Bool)
    case unary(String, TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
    case comparison(TemplateExpression, [(String, TemplateExpression)])
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case conditional(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression?)

    struct Arguments: Sendable {
        var positional: [TemplateExpression] = []
        var named: [(String, TemplateExpression)] = []
        var unpacked: [TemplateExpression] = []
        var unpackedNamed: [TemplateExpression] = []
    }

    /// The name of a filter or test, with its arguments.
    struct Call: Sendable {
        let name: String
        let arguments: Arguments
        let line: Int
    }
}
