import MartletJSON
import Testing

@Suite("Writing")
struct WritingTests {
    private let value: JSON = [
        "name": "a\"b\\c/d\n\r\t\u{8}\u{C}\u{1}\u{1F}\u{7F}é😀", "list": [1, -2, 2.5, true, nil], "empty": [[], [:]],
        "nested": ["x": ["y": 1e-7]],
    ]

    @Test("compact")
    func compact() {
        #expect(
            value.text()
                == #"{"name":"a\"b\\c/d\n\r\t\b\f\u0001\u001f\#u{7F}é😀","list":[1,-2,2.5,true,null],"empty":[[],{}],"#
                + #""nested":{"x":{"y":1e-07}}}"#)
    }

    /// The expected text is what Python's `json.dumps(value, indent=2, ensure_ascii=False)` prints.
    @Test("pretty")
    func pretty() {
        let expected = """
            {
              "list": [
                1,
                "é"
              ],
              "empty": [
                [],
                {}
              ],
              "x": {
                "y": 1e-07
              }
            }
            """
        let value: JSON = ["list": [1, "é"], "empty": [[], [:]], "x": ["y": 1e-7]]
        #expect(value.text(.pretty(indent: 2)) == expected)
    }

    @Test("what is written reads back the same")
    func roundTrip() throws {
        #expect(try JSON(parsing: value.serialized()) == value)
        #expect(try JSON(parsing: value.serialized(.pretty(indent: 3))) == value)
    }

    @Test("every Double reads back as itself")
    func doubles() throws {
        var state: UInt64 = 1
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let number = Double(bitPattern: state)
            guard number.isFinite else { continue }
            let text = JSON.number(number).text()
            #expect(try JSON(parsing: text).doubleValue?.bitPattern == number.bitPattern, "\(text)")
        }
    }

    @Test("decimal digits are rounded as the standard library rounds them")
    func decimals() throws {
        var state: UInt64 = 7
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let text = "\(state >> (10 + state % 50)).\(state % 1000)e\(Int(state >> 32 % 50) % 50 - 25)"
            #expect(try JSON(parsing: text).doubleValue == Double(text), "\(text)")
        }
    }

    @Test("a number that is not finite becomes null")
    func notFinite() {
        #expect(JSON.array([.number(.nan), .number(.infinity)]).text() == "[null,null]")
    }
}

@Suite("Objects")
struct ObjectTests {
    @Test("are built, changed and shrunk by key", arguments: [3, 9, 1000])
    func mutation(count: Int) {
        var object = JSONObject()
        for number in 0..<count { object["k\(number)"] = .integer(number) }
        object["k1"] = "changed"
        object["k0"] = nil
        object["absent"] = nil
        #expect(object.count == count - 1)
        #expect(object["k0"] == nil)
        #expect(object["k1"] == "changed")
        #expect(object["k\(count - 1)"] == .integer(count - 1))
        #expect(object.keys.first == "k1")
    }

    @Test("are equal only in the same order and form")
    func equality() {
        #expect((["a": 1, "b": 2] as JSON) == ["a": 1, "b": 2])
        #expect((["a": 1, "b": 2] as JSON) != ["b": 2, "a": 1])
        #expect((["a": 1] as JSON) != ["a": 1.0])
    }
}
