import Martlet
import MartletConstraints
import MartletGeneration
import MartletJSON

/// A form that an answer must have: a JSON schema, a grammar, or a call of a function.
struct ForcedForm: Sendable {
    /// The beginning of the answer, written for the model.
    let beginning: String
    /// The end that completes it.
    let end: String
    /// The answer is of one of these.
    private let forms: [OutputConstraint]
    /// The field that errors name.
    private let parameter: String

    /// - Returns: nil for a request that leaves the form free.
    init?(_ request: ChatRequest, _ tools: ToolFormat) {
        switch request.toolChoice {
        case .named(let name):
            guard let tool = request.tools.first(where: { $0.name.hasSameBytes(as: name) }) else { return nil }
            self.init(callOf: tool, tools)
        case .required where request.tools.count == 1: self.init(callOf: request.tools[0], tools)
        case .required: self.init(callOfAny: request.tools, tools)
        case .none: self.init(request.format)
        case .automatic:
            // The answer has its form, or is calls instead.
            guard let form = ForcedForm(request.format) else { return nil }
            let calls = tools.grammar(ofCalls: request.tools.map(\.name), isOne: !request.callsInParallel)
            self.init(form.forms + [.grammar(calls)], form.parameter)
        }
    }

    /// - Returns: nil for text.
    init?(_ format: AnswerFormat) {
        switch format {
        case .text: return nil
        case .jsonObject: self.init([.schema(#"{"type": "object"}"#)], "response_format")
        case .jsonSchema(let schema, let name): self.init([.schema(schema.text())], name)
        case .regularExpression(let pattern, let name): self.init([.regularExpression(pattern)], name)
        case .choice(let texts, let name):
            let literals = texts.map { text in
                text.unicodeScalars.reduce(into: "\"") { $0 += ForcedForm.literal($1) } + "\""
            }
            self.init([.grammar("root ::= " + literals.joined(separator: " | "))], name)
        case .grammar(let text, let name): self.init([.grammar(text)], name)
        }
    }

    /// A scalar as it stands in a grammar's literal.
    private static func literal(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"", "\\": "\\" + String(scalar)
        case "\n": "\\n"
        case "\r": "\\r"
        default: String(scalar)
        }
    }

    private init(_ forms: [OutputConstraint], _ parameter: String, beginning: String = "", end: String = "") {
        (self.forms, self.parameter, self.beginning, self.end) = (forms, parameter, beginning, end)
    }

    private init(callOf tool: ToolDefinition, _ tools: ToolFormat) {
        self.init(
            [.schema(tool.parameters.text())], "tools", beginning: tools.beginning(ofCall: tool.name),
            end: tools.callEnd)
    }

    /// A call of one of several functions: the object that names it is chosen by the model.
    private init(callOfAny tools: [ToolDefinition], _ format: ToolFormat) {
        let calls = tools.map { tool -> JSON in
            var properties = JSONObject()
            properties["name"] = ["const": .string(tool.name)]
            properties[format.argumentsKey] = tool.parameters
            return [
                "type": "object", "properties": .object(properties),
                "required": ["name", .string(format.argumentsKey)], "additionalProperties": false,
            ]
        }
        // The object ends by itself; what is left is what follows it.
        let end = format.callEnd.utf8.drop { $0 == UInt8(ascii: "}") }
        self.init(
            [.schema((["oneOf": .array(calls)] as JSON).text())], "tools", beginning: format.callBeginning,
            end: String(decoding: end, as: UTF8.self))
    }

    /// The constraint that keeps a generation of `model` to the form.
    ///
    /// - Throws: ``APIError`` with the place in the schema that cannot be kept.
    func constraint(_ model: ServedModel) throws -> any TokenConstraint {
        do {
            let parts = try forms.map {
                try GrammarConstraint(model.masks(of: $0), stopTokens: model.endOfTextTokens)
            }
            return parts.count == 1 ? parts[0] : EitherConstraint(parts)
        } catch let error as ConstraintError {
            throw APIError.invalid(
                error.cause + (error.remedy.map { "; " + $0 } ?? "") + ".", parameter, code: "unsupported_schema")
        }
    }
}
