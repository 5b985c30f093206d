import MartletConstraints
import MartletJSON
import MartletPlatform
import TestSupport
import Testing

/// The public JSON-Schema-Test-Suite against this compiler, where `MARTLET_SCHEMA_SUITE` names the folder of a draft;
/// `Tools/schema_suite.py` runs it and lets another validator read the texts that are drawn.
///
/// A schema is refused by name or compiled. Of a compiled one, no text is accepted that the suite calls invalid, in any
/// order of its properties, and every beginning of a text can be finished.
@Suite struct SchemaSuiteTests {
    private static let folder = environment("MARTLET_SCHEMA_SUITE")

    private static func environment(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    private struct Counts {
        var (schemas, refused, valid, accepted, invalid, drawn) = (0, 0, 0, 0, 0, 0)
        var keywords: [String: Int] = [:]
        var lines: [String] = []
    }

    @Test(.enabled(if: folder != nil)) func noAssertionIsPassedOver() throws {
        let folder = try #require(Self.folder)
        var counts = Counts()
        let formats = Fixtures.entries(folder + "/optional/format").map { "optional/format/" + $0 }
        for name in Fixtures.entries(folder) + formats where name.hasSuffix(".json") {
            let cases = try JSON(parsing: String(decoding: Fixtures.bytes(folder + "/" + name), as: UTF8.self))
            for item in try #require(cases.arrayValue) { try check(item, of: name, &counts) }
        }
        print(
            "schemas \(counts.schemas), refused \(counts.refused); valid texts \(counts.valid), accepted "
                + "\(counts.accepted); invalid texts \(counts.invalid), accepted none; drawn \(counts.drawn)")
        print(
            "refused by "
                + counts.keywords.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        )
        if let path = Self.environment("MARTLET_SCHEMA_TEXTS") {
            let file = unsafe try #require(unsafe fopen(path, "w"))
            unsafe fputs(counts.lines.joined(separator: "\n") + "\n", file)
            unsafe fclose(file)
        }
    }

    private func check(_ item: JSON, of file: String, _ counts: inout Counts) throws {
        let (schema, title) = (try #require(item["schema"]), "\(file): \(item["description"]?.stringValue ?? "")")
        let constraint = OutputConstraint.schema(schema.text(.compact))
        counts.schemas += 1
        let tests = item["tests"]?.arrayValue ?? []
        do { _ = try verdict(constraint, "") } catch let error as ConstraintError {
            // Named by its place; a schema that nothing satisfies has none.
            let isNamed = error.place.utf8.first == UInt8(ascii: "/")
            #expect(isNamed || tests.allSatisfy { $0["valid"]?.boolValue == false }, "\(title): \(error)")
            counts.refused += 1
            counts.keywords[error.place.split(separator: "/").last.map(String.init) ?? "/", default: 0] += 1
            return
        }
        for test in tests {
            let data = try #require(test["data"])
            let isAccepted = try Self.spellings(data).contains { try verdict(constraint, $0) == .whole }
            if test["valid"]?.boolValue == true {
                counts.valid += 1
                if isAccepted { counts.accepted += 1 }
            } else {
                counts.invalid += 1
                #expect(!isAccepted, "\(title): \(test["description"]?.stringValue ?? "") is accepted")
            }
        }
        for seed in UInt64(0)..<20 {
            let text: String
            do { text = String(decoding: try drawn(constraint, seed, ending: 40), as: UTF8.self) } catch {
                Issue.record("\(title): a beginning that cannot be finished: \(error)")
                return
            }
            counts.drawn += 1
            let line: JSON = ["title": .string(title), "schema": schema, "text": .string(text)]
            counts.lines.append(line.text(.compact))
        }
    }

    /// The texts of a value with the members of its outermost object in every order, 24 at most.
    private static func spellings(_ value: JSON) -> [String] {
        guard let members = value.objectValue?.members, members.count > 1 else { return [value.text(.compact)] }
        var orders: [[Int]] = [[]]
        for index in members.indices {
            orders = orders.flatMap { order in
                (0...order.count).map { place in
                    var longer = order
                    longer.insert(index, at: place)
                    return longer
                }
            }
            orders = Array(orders.prefix(24))
        }
        return orders.map { order in
            var object = JSONObject()
            for index in order { object[members[index].key] = members[index].value }
            return JSON.object(object).text(.compact)
        }
    }
}
