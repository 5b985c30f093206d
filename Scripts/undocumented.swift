// Lists the symbols of the given symbol graphs that have no documentation comment: file:line: kind name.
//
// A case without a payload whose enumeration is documented may go without: its name is all there is to say (`q4_K`,
// `seconds`).
import Foundation

struct Graph: Decodable {
    struct Module: Decodable { let name: String }
    struct Symbol: Decodable {
        struct Kind: Decodable { let identifier, displayName: String }
        struct Comment: Decodable {}
        struct Location: Decodable {
            struct Position: Decodable { let line: Int }
            let uri: String
            let position: Position
        }
        let kind: Kind
        let pathComponents: [String]
        let docComment: Comment?
        let location: Location?
    }
    let module: Module
    let symbols: [Symbol]
}

var lines: Set<String> = []
for path in CommandLine.arguments.dropFirst() {
    let graph = try JSONDecoder().decode(Graph.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    let documented = Set(graph.symbols.filter { $0.docComment != nil }.map(\.pathComponents))
    for symbol in graph.symbols where symbol.docComment == nil {
        let isPlainCase = symbol.kind.identifier == "swift.enum.case" && !symbol.pathComponents.joined().contains("(")
        if isPlainCase && documented.contains(Array(symbol.pathComponents.dropLast())) { continue }
        guard let location = symbol.location, let sources = location.uri.range(of: "/Sources/") else { continue }
        let file = "Sources/" + location.uri[sources.upperBound...]
        let name = symbol.pathComponents.joined(separator: ".")
        lines.insert("\(file):\(location.position.line + 1): \(symbol.kind.displayName) \(name)")
    }
}
for line in lines.sorted() { print(line) }
