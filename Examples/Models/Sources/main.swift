// Everything that a model does, with one import and no file but the models: `swift run models PATH/TO/Tests/Fixtures`.
import Martlet

let fixtures = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "../../Tests/Fixtures"

// Load: a Hugging Face directory, a .gguf file, org/name in the hub cache, or the small model that ships with the
// library.
let model = try await LanguageModel.load(path: EmbeddedModel.path(), threads: 2)

// Stream. What is wrong with the request is thrown by the call, before anything is computed.
let story = try model.generate(
    "In the beginning", GenerationOptions(maximumTokens: 16, sampling: Sampling(temperature: 0.8)))
for try await piece in story { print(piece, terminator: "") }
print()

do {
    _ = try model.generate("", GenerationOptions(maximumTokens: -1, sampling: Sampling(temperature: -1)))
} catch {
    print("refused:", error.offences.count, "offences")
}

// Cancel: the task that reads the text is cancelled, and the text says that it is not whole.
let reading = Task {
    try await model.generate("And", GenerationOptions(maximumTokens: 100_000, endOfText: .ignored)).text()
}
reading.cancel()
do {
    _ = try await reading.value
} catch let error as GenerationError {
    print("cancelled:", error.kind == .cancelled)
}

// Chat, with a tool. The model's own template is the default; this one has none.
struct Clock: Tool {
    struct Arguments: Decodable { let city: String }
    let name = "clock"
    let description = "The time in a city."
    func call(arguments: Arguments) async throws -> String { "noon in \(arguments.city)" }
}
let template = try ChatTemplate(
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:")
let session = model.session(instructions: "Answer in one sentence.", tools: [Clock()], template: template)
session.prewarm()
let response = try await session.respond(to: "Who are you?", options: GenerationOptions(maximumTokens: 8))
for try await snapshot in session.streamResponse(to: "And then?", options: GenerationOptions(maximumTokens: 8)) {
    print(snapshot.delta, terminator: "")
}
print("\nchat:", response.content.utf8.count > 0, session.transcript.count, "entries")

// Embed a batch, classify, tag, answer, fill.
let vectors = try await Embedder.load(path: EmbeddedModel.path()).embed(["a text", "another", "a third"])
print("embed:", vectors.count, "vectors of", vectors[0].count)
let classes = try await Classifier.load(path: fixtures + "/tasks/classes").classify(["the first text", "another"])
print("classify:", classes.map { $0[0].label })
let spans = try await Tagger.load(path: fixtures + "/tasks/tags").tag(["Ada lived in London"])
print("tag:", spans.count)
let answers = try await Answerer.load(path: fixtures + "/tasks/answers").answer([("who", "Ada lived in London")])
print("answer:", answers[0].count)
let masks = try await MaskFiller.load(path: fixtures + "/tasks/fillings")
print("fill:", try masks.fill(["the \(masks.mask) of"]).count)

// Translate and summarize.
let translator = try await Writer.translator(path: fixtures + "/tasks/translation")
print("translate:", try translator.write(["a text", "another"]).count)
let summarizer = try await Writer.summarizer(path: fixtures + "/tasks/summary")
print("summarize:", try summarizer.write(["a longer text"]).count)

// Convert and quantize; what is written is a model like any other.
let file = try ModelFile(path: EmbeddedModel.path())
let written = try file.convert(to: "converted", ConversionOptions(type: .f16))
let quantization = try ModelQuantization(path: written.path)
try quantization.write(.q8_0, to: "quantized.gguf")
let smaller = try await LanguageModel.load(path: "quantized.gguf")
print("quantized:", try await smaller.generate("In the", GenerationOptions(maximumTokens: 4)).text().utf8.count > 0)

// Tokenize.
let ids = try model.tokenizer.encode("In the beginning")
print("tokens:", ids.count, try model.tokenizer.decode(ids))

// Errors have one shape: cause, remedy, offences.
do {
    _ = try await LanguageModel.load(path: "no/such/model")
} catch {
    print("error:", error.cause)
}
