// A conversation with a model whose files hold a chat template: snippet MODEL.
import Martlet

let model = try await LanguageModel.load(path: CommandLine.arguments.dropFirst().first ?? EmbeddedModel.path())
let session = model.session(instructions: "Answer in one sentence.")
session.prewarm()
do {
    for try await snapshot in session.streamResponse(to: "What is a martlet?") { print(snapshot.delta, terminator: "") }
    print()
} catch {
    print(error.cause)
}
