/// A template as a tree, with its blocks by name.
struct TemplateProgram: Sendable {
    var nodes: [TemplateNode] = []
    var blocks: [String: TemplateNode.Block] = [:]
}

/// A statement of a template.
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
    /// `{% autoescape … %}`.
    case escaping(TemplateExpression, [TemplateNode])
    /// `{% block name %}`, whose body stands in the program.
    case block(String, isScoped: Bool)
    /// `extends`, `include`, `import`: what needs other templates, which there are none of.
    case loading

    /// The target of an assignment.
    indirect enum Target: Sendable {
        case name(String)
        case attribute(String, String)
        case tuple([Target])
    }

    /// A `{% for %}` statement.
    struct Loop: Sendable {
        let target: Target
        let elements: TemplateExpression
        let filter: TemplateExpression?
        let isRecursive: Bool
        let body: [TemplateNode]
        let otherwise: [TemplateNode]
    }

    /// A `{% macro %}`, or the body of a `{% call %}`.
    struct Macro: Sendable {
        let name: String
        let parameters: [(name: String, value: TemplateExpression?)]
        let body: [TemplateNode]
        /// The names that the body reads: `caller`, `varargs` and `kwargs` are given to macros that ask for them only.
        let reads: Set<String>
        /// The body of a call block, which has no name.
        var isCaller = false
    }

    /// A `{% block %}`.
    struct Block: Sendable {
        let body: [TemplateNode]
        let isRequired: Bool
    }
}

/// An expression. What a text may repeat without brackets (operators, attributes, filters) lies side by side, so that
/// the tree is no deeper than brackets are.
indirect enum TemplateExpression: Sendable {
    case constant(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(TemplateExpression, TemplateExpression)])
    /// A value and what is done with it, one after the other.
    case postfix(TemplateExpression, [Step])
    case unary(String, TemplateExpression)
    /// Operators of one rank, from the left.
    case chain(TemplateExpression, [(sign: String, operand: TemplateExpression)])
    case comparison(TemplateExpression, [(String, TemplateExpression)])
    case and([TemplateExpression])
    case or([TemplateExpression])
    /// `value if condition else otherwise`, and again behind it.
    case conditional(TemplateExpression, [(condition: TemplateExpression, otherwise: TemplateExpression?)])

    /// A step that follows a value: an attribute, an item, a call, a filter, a test.
    enum Step: Sendable {
        case attribute(String)
        case item(TemplateExpression)
        case slice(TemplateExpression?, TemplateExpression?, TemplateExpression?)
        case call(Arguments)
        case filter(Call)
        case test(Call, isNegated: Bool)
    }

    /// The arguments of a call, as they are spelled.
    struct Arguments: Sendable {
        var positional: [TemplateExpression] = []
        var named: [(String, TemplateExpression)] = []
        var unpacked: [TemplateExpression] = []
        var unpackedNamed: [TemplateExpression] = []
    }

    /// The name of a filter or test, with its arguments and its line.
    struct Call: Sendable {
        let name: String
        let arguments: Arguments
        let line: Int
    }
}
