// Text to tokens and back with nothing else built: `swift run tokens PATH/TO/tokenizer.json`.
import MartletTokenizers

let path =
    CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "../../Tests/Fixtures/tasks/classes/tokenizer.json"
let tokenizer = try Tokenizer(path: path)
let encoding = try tokenizer.encoding(of: "a text")
for (id, offsets) in zip(encoding.ids, encoding.offsets) {
    print(id, tokenizer.token(id) ?? "", offsets.start, offsets.end)
}
print(try tokenizer.decode(encoding.ids))

// A batch, by several threads.
print(try tokenizer.encode(batch: ["a text", "another text"]).map(\.count))
