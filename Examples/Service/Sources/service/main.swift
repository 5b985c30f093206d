// A Hummingbird service of one's own that embeds a language model: POST /continue takes a text and streams what
// follows.
//
//     swift run -c release service path/to/model
//     curl -N http://127.0.0.1:8080/continue -d 'Once upon a time'

import Hummingbird
import Martlet

let path = CommandLine.arguments.dropFirst().first ?? "."
let model = try await LanguageModel.load(path: path)

let router = Router()
router.post("continue") { request, _ in
    let body = try await request.body.collect(upTo: 1 << 16)
    let prompt = String(buffer: body)
    return Response(
        status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
        body: ResponseBody { writer in
            // A client that leaves ends the loop, and that ends the generation.
            for try await piece in model.generate(prompt, GenerationOptions(maximumTokens: 100)) {
                try await writer.write(ByteBuffer(string: piece.text))
            }
            try await writer.finish(nil)
        })
}
try await Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 8080))).runService()
