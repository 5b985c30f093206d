// Continues a text with the model that ships with the library.
import Martlet

let model = try await LanguageModel.load(path: EmbeddedModel.path())
let story = try model.generate(
    "In the beginning", GenerationOptions(maximumTokens: 40, sampling: Sampling(temperature: 0.8)))
for try await piece in story { print(piece, terminator: "") }
print()
