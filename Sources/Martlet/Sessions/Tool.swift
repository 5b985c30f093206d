import MartletGeneration
public import MartletJSON

#if canImport(FoundationEssentials)
    import struct FoundationEssentials.Data
    import class FoundationEssentials.JSONDecoder
#else
    import struct Foundation.Data
    import class Foundation.JSONDecoder
#endif

/// A tool that a model may call while it answers.
///
/// ```swift
/// struct Weather: Tool {
///     struct Arguments: Decodable { let city: String }
///     let name = "weather"
///     let description = "The weather in a city today."
///     let parameters: JSON = [
///         "type": "object", "properties": ["city": ["type": "string"]], "required": ["city"],
///     ]
///     func call(arguments: Arguments) async throws -> String { "sunny in \(arguments.city)" }
/// }
/// ```
public protocol Tool<Arguments, Output>: Sendable {
    /// The arguments of a call, decoded from the JSON that the model wrote.
    associatedtype Arguments: Decodable
    /// The answer, whose description is the text that the model reads.
    associatedtype Output: CustomStringConvertible

    /// The name by which the model calls it.
    var name: String { get }
    /// The description of what the tool does, for the model.
    var description: String { get }
    /// The JSON schema of the arguments.
    var parameters: JSON { get }

    /// The answer to one call.
    func call(arguments: Arguments) async throws -> Output
}

extension Tool {
    /// A tool without arguments.
    public var parameters: JSON { ["type": "object", "properties": [:]] }

    /// The tool as chat templates read it: OpenAI's function object.
    var definition: JSON {
        [
            "type": "function",
            "function": ["name": .string(name), "description": .string(description), "parameters": parameters],
        ]
    }

    /// The text that the model reads after a call; arguments that do not decode are answered by what is wrong with
    /// them, so that the model can mend its call.
    package func output(of call: Transcript.ToolCall) async throws(GenerationError) -> String {
        let arguments: Arguments
        do {
            arguments = try JSONDecoder().decode(Arguments.self, from: Data(call.arguments.utf8))
        } catch {
            return "error: these arguments do not fit \(parameters.text(.compact)): \(error)"
        }
        do {
            return try await self.call(arguments: arguments).description
        } catch {
            throw GenerationError(.tool, ["the tool \(name) failed: \(error)"])
        }
    }
}
