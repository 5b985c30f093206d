import MartletJSON
import MartletTemplates
import Testing

/// Templates that would take all memory, all time or all of the stack: each ends with an error, or with the text that
/// it stands for.
struct HostileTemplateTests {
    /// A namespace `ns` whose `a` becomes `step` of itself, `count` times, and then `use`.
    private static func repeated(_ count: Int, _ step: String, _ use: String) -> String {
        "{% set ns = namespace(a=[1], m=none) %}{% for i in range(\(count)) %}{% set ns.a = \(step) %}{% endfor %}"
            + use
    }

    @Test(arguments: [
        // Memory is charged before it is taken.
        "{{ ('a'*1000000)|replace('a','b'*1000000)|length }}", "{{ ('a'*1000000).replace('a','b'*1000000)|length }}",
        "{{ ('a'*1000000)|replace('','b'*1000000)|length }}", "{{ ('a\n'*1000000)|indent(1000000)|length }}",
        "{{ range(100000)|join('a'*1000000)|length }}",
        "{{ ('a'*1000000).join(range(9)|map('string'))|length ~ '' * 9 }}"
            + "{{ ('a'*1000000).join('a'*1000)|length }}",
        "{{ 'a'|center(9223372036854775807) }}", "{{ 'a'.ljust(2000000000) }}", "{{ '\\t'.expandtabs(2000000000) }}",
        "{{ ('a'*4000000) * 4000 }}", "{{ ([1]*1000) * 10000000 }}", "{{ (1,) * 10000000000 }}",
        "{{ [[1]*900000, 'x']|tojson(indent=64)|length }}",
        "{{ [1]|tojson(separators=('a'*9000000, ''))|length }}"
            + "{{ ([1]*999)|tojson(separators=('a'*9000000, ''))|length }}",
        "{% set ns = namespace(a='a') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "{{ ('<'*9000000)|e|e|e|length }}",
        "{{ [1]|batch(1048576, 0)|list|length }}"
            + "{% for i in range(9) %}{{ [1]|batch(1048576, 0)|list|length }}{% endfor %}",
        "{{ ('a b '*1000000)|wordwrap(1, wrapstring='c'*1000000)|length }}",
        // Every value that is walked over is charged: shared lists have 2⁶⁰ of them.
        repeated(60, "[ns.a, ns.a]", "{{ ns.a }}"), repeated(60, "[ns.a, ns.a]", "{{ ns.a|tojson }}"),
        repeated(60, "{'a': ns.a, 'b': ns.a}", "{{ ns.a }}"),
        repeated(60, "{'a': ns.a, 'b': ns.a}", "{{ ns.a|tojson }}"),
        repeated(60, "[ns.a, ns.a]", "{{ ns.a|pprint }}"), repeated(60, "[ns.a, ns.a]", "{{ '%r' % (ns.a,) }}"),
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a in [ns.b] }}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ [ns.a, ns.b]|sort }}",
        "{% set ns = namespace(a=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {ns.a: 1} }}",
        "{% set ns = namespace(a=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ [ns.a]|unique|list }}",
        // Values are no deeper than a limit.
        repeated(100_000, "[ns.a]", "x"), repeated(100_000, "(ns.a,)", "x"), repeated(100_000, "{'a': ns.a}", "x"),
        repeated(100_000, "[ns.a.copy]", "x"), repeated(100_000, "[ns.a]|map('list')", "x"),
        repeated(100_000, "{'a': ns.a}.items()", "x"), repeated(100_000, "cycler(ns.a)", "x"),
        repeated(100_000, "[ns.a]|groupby(0)", "x"), repeated(100_000, "[ns.a]|batch(1)", "x"),
        "{% macro f(a) %}{{ f([a]) }}{% endmacro %}{{ f(1) }}",
    ])
    func endsByItsLimit(_ source: String) {
        // Fewer steps than are allowed by default: enough for each to show what it is.
        var limits = ChatTemplate.Limits()
        limits.steps = 300_000
        let error = #expect(throws: TemplateError.self, "\(source.prefix(99))") {
            try ChatTemplate(source).render(JSONObject(), limits: limits)
        }
        #expect(error?.kind == .limit, "\(source.prefix(99)): \(String(describing: error))")
    }

    @Test(arguments: [
        ("{{ 'a'|center(-9223372036854775807-1) }}", "a"), ("{{ 'abc'|truncate(9223372036854775807) }}", "abc"),
        ("{{ 'abc'|truncate(9, leeway=9223372036854775807) }}", "abc"), ("{{ 'abc'|round(1) }}", ""),
        (
            "{{ 'abc'[9223372036854775807:] }}{{ 'abc'[::9223372036854775807] }}{{ 'abc'[::-9223372036854775807-1] }}",
            "ac"
        ),
        ("{{ [1][9223372036854775807]|default('x') }}{{ [1][-9223372036854775807-1]|default('y') }}", "xy"),
        ("{{ 'a b'.split(' ', 9223372036854775807)|length }}{{ 'a'.zfill(-9223372036854775807-1) }}", "2a"),
        ("{{ range(9223372036854775800, 9223372036854775807, 5)|list|length }}", "2"),
        (
            "{{ -(-9223372036854775807-1) }} {{ (-9223372036854775807-1)|abs }}",
            "9223372036854775808 9223372036854775808"
        ),
        ("{{ (-9223372036854775807-1) // -1 }} {{ (-9223372036854775807-1) % -1 }}", "9223372036854775808 0"),
        // Chains, and whatever holds itself, are given back without deep calls.
        (
            "{% set ns = namespace(a=1) %}{% for i in range(30000) %}{% set ns.a = namespace(a=ns.a) %}{% endfor %}{{ ns.a.a is defined }}",
            "True"
        ),
        ("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns] %}{{ ns.a.b|length }}", "1"),
        (
            "{% set ns = namespace(m=none) %}{% for i in range(20000) %}{% set old = ns.m %}{% macro f() %}{% endmacro %}{% set ns.m = f %}{% endfor %}x",
            "x"
        ),
        (
            "{% set ns = namespace(l=none) %}{% for i in range(9000) %}{% set old = ns.l %}{% for j in [1] %}{% set ns.l = loop %}{% endfor %}{% endfor %}x",
            "x"
        ),
    ])
    func isHarmless(_ source: String, _ expected: String) {
        let result: String
        do { result = try ChatTemplate(source).render([:]) } catch { result = error.kind == .type ? "" : "\(error)" }
        #expect(result == expected, "\(source.prefix(99))")
    }

    /// Operators that may be repeated without brackets lie side by side in the tree.
    @Test(arguments: [
        ("1", " + 1", 40_000, "40001"), ("'a'", " ~ ''", 40_000, "a"), ("1", " and 1", 40_000, "1"),
        ("0", " or 0", 40_000, "0"),
        ("1", "|abs", 40_000, "1"), ("1", " is number", 40_000, "True"), ("1", " if 1", 40_000, "1"),
        ("1", " ** 1", 40_000, "1"), ("1", " * 1", 40_000, "1"), ("1", " == 1", 40_000, "True"),
    ])
    func longExpressionsAreNotDeep(_ first: String, _ link: String, _ count: Int, _ expected: String) throws {
        let source = "{{ " + first + String(repeating: link, count: count) + " }}"
        #expect(try ChatTemplate(source).render([:]) == expected)
    }

    @Test func aTemplateOfOneMillionSignsIsRefused() {
        let source = "{{ [" + String(repeating: "1,", count: 500_000) + "] }}"
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source) }
        #expect(error?.kind == .limit)
    }

    @Test func contextsOfDeepValuesAreRefused() {
        var value = JSON.integer(1)
        for _ in 0..<400 { value = .array([value]) }
        var variables = JSONObject()
        variables["x"] = value
        let error = #expect(throws: TemplateError.self) { try ChatTemplate("x").render(variables) }
        #expect(error?.kind == .limit)
    }
}

extension ChatTemplate {
    fileprivate func render(_ members: [String: JSON]) throws(TemplateError) -> String {
        var variables = JSONObject()
        for (key, value) in members { variables[key] = value }
        return try render(variables)
    }
}
