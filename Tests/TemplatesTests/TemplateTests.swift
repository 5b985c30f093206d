import MartletJSON
import MartletTemplates
import Testing

/// Expected texts are Jinja2 3.1.6's, with `trim_blocks` and `lstrip_blocks`.
struct TemplateTests {
    private func render(_ source: String, _ variables: JSONObject = JSONObject()) throws -> String {
        try ChatTemplate(source).render(variables)
    }

    @Test(arguments: [
        ("{{ 1 + 2 * 3 ** 2 }}", "19"), ("{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }}", "-4 2 3.5"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"), ("{{ [1, 'x', None, 2.0] }}", "[1, 'x', None, 2.0]"),
        ("{{ {'a': [1, true]} }}", "{'a': [1, True]}"), ("{{ {'a': [1, true]}|tojson }}", #"{"a": [1, true]}"#),
        ("{{ 'abcdef'[1:-1:2] }}", "bd"), ("{{ 'abc'[::-1] }}", "cba"), ("{{ x is defined }}", "False"),
        ("{{ x|default('d') }}", "d"), ("{% for i in range(3) %}{{ loop.index }}{% endfor %}", "123"),
        ("{% for i in [] %}a{% else %}b{% endfor %}", "b"),
        ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro f(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1) }} {{ f(1, b=3) }}", "1-2 1-3"),
        ("{% if true %}\n  x\n{% endif %}\ny\n", "  x\ny"), ("  {% if true %}x{% endif %}", "x"),
        ("a  {%- if true -%}  b  {%- endif -%}  c", "abc"), ("{# gone #}\nx", "x"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"), ("{{ '%05.1f|%s' % (3.14159, 'x') }}", "003.1|x"),
        ("{{ '{:>5}|{a}'.format(1, a=2) }}", "    1|2"), ("{{ 'a,b,c'.split(',')|join('-') }}", "a-b-c"),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "013"
        ),
        ("{{ ['b', 'A', 'c']|sort|join }}", "Abc"), ("{{ {'b': 1, 'a': 2}|dictsort }}", "[('a', 2), ('b', 1)]"),
        ("{{ [{'k': 1}, {'k': 2}]|selectattr('k', 'equalto', 2)|list }}", "[{'k': 2}]"),
        ("{{ \"it's\" }}{{ [\"it's\"] }}", "it's[\"it's\"]"), ("{{ 1 if false }}", ""), ("{{ 'a' in 'cat' }}", "True"),
        ("{{ 'é'|length }}{{ 'e\u{301}'|length }}", "12"), ("{{ 'e\u{301}' == 'é' }}", "False"),
        ("{% set x %}a{% endset %}{{ x|upper }}", "A"),
        ("{% macro f() %}<{{ caller(1) }}>{% endmacro %}{% call(n) f() %}{{ n }}{% endcall %}", "<1>"),
        (
            "{{ range(3) }}{{ range(5, 1, -2)[::2] }}{{ range(4)[1] }}{{ range(3)|list }}",
            "range(0, 3)range(5, 1, -4)1[0, 1, 2]"
        ),
        ("{% set j = joiner('-') %}{% for i in 'abc' %}{{ j() }}{{ i }}{% endfor %}", "a-b-c"),
        (
            "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}",
            "abbNonea"
        ),
        ("{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}", "TrueFalseTrue"),
        (
            "{% for x in [[1, [2, [3]]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
            "(1@2(2@3(3@4)))"
        ),
        (
            "{% macro m() %}{{ kwargs }}{% endmacro %}{% call m(a=1) %}x{% endcall %}",
            "{'a': 1, 'caller': <Macro anonymous>}"
        ),
        ("{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}", "1(2, 3)"),
        (
            "{{ 'y' if [1]|select('equalto', 2) else 'n' }}{% set g = [1, 2]|map('string') %}{{ g|list }}{{ g|list }}",
            "y['1', '2'][]"
        ),
        (
            "{{ {'a': 1}.items() }}{{ {'a': 1}.keys()|list }}{{ {'a': 1}.values() }}{{ {}.items()|length }}",
            "dict_items([('a', 1)])['a']dict_values([1])0"
        ),
        ("{{ [1, 2]|reverse|first }}{{ 'abc'|reverse }}{{ 'x' if []|reverse }}", "2cbax"),
        (
            "{{ 'a\tbc\td'.expandtabs(4) }}{{ 'Ab Cd'.istitle() }}{{ {'a b': '/'}|urlencode }}{{ [1, 2]|truncate(5) }}",
            "a   bc  dTruea+b=%2F[1, 2]"
        ),
        (
            "{{ 2.5 is divisibleby(0.5) }}{{ range(3) == range(0, 3) }}{{ range(2) == [0, 1] }}{{ {}.items() is sequence }}",
            "TrueTrueFalseFalse"
        ),
    ])
    func rendersAsJinja(_ source: String, _ expected: String) throws {
        #expect(try render(source).utf8.elementsEqual(expected.utf8), "\(source)")
    }

    @Test(arguments: [
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", TemplateError.Kind.type),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", .type),
        ("{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", .type),
        ("{{ range(3)|tojson }}", .type), ("{{ 3|truncate(5) }}", .type), ("{{ x|int }}", .undefined),
        ("{{ 1|default(value=2) }}", .type),
        ("{{ [1]|map('string')|length }}", .type), ("{{ {'a': 1}|attr('a') + 1 }}", .undefined),
        ("{% for x in [1] %}{{ loop([]) }}{% endfor %}", .type),
        ("{{ x.y }}", TemplateError.Kind.undefined), ("{{ 'a' + 1 }}", .type), ("{{ [].append(1) }}", .security),
        ("{{ ''.__class__.__mro__ }}", .security), ("{{ raise_exception('no') }}", .raised),
        ("{{ 1 / 0 }}", .zeroDivision),
        ("{{ range(10000000) }}", .overflow),
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", .limit),
        ("{{ 'a' * 10 ** 12 }}", .limit), ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", .limit),
        ("{{ 2 ** 999999 }}", .overflow), ("{{ 'x'.format }}{{ '{0.__class__}'.format('x') }}", .security),
    ])
    func refuses(_ source: String, _ kind: TemplateError.Kind) {
        let error = #expect(throws: TemplateError.self, "\(source)") { try render(source) }
        #expect(error?.kind == kind, "\(source): \(String(describing: error))")
    }

    @Test(arguments: [
        "{{", "{% if %}", "{% for x %}{% endfor %}", "{{ x | nosuch }}", "{% endif %}", "{{ 'a }}", "{% raw %}", "{# a",
    ])
    func refusesToCompile(_ source: String) {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source) }
        #expect(error?.kind == .syntax)
    }

    /// Deep nesting is an error, not the end of the stack.
    @Test func nestingIsLimited() {
        for source in [
            "{{ " + String(repeating: "(", count: 50_000) + "1" + String(repeating: ")", count: 50_000) + " }}",
            "{{ " + String(repeating: "-", count: 50_000) + "1 }}",
            String(repeating: "{% if true %}", count: 50_000),
            "{{ " + String(repeating: "[", count: 50_000) + String(repeating: "]", count: 50_000) + " }}",
        ] {
            let error = #expect(throws: TemplateError.self) { try ChatTemplate(source) }
            #expect(error?.kind == .limit)
        }
    }

    /// Mutations of a template give a text or an error.
    @Test func mutationsNeverTrap() {
        let source = Array(
            "{%- for m in messages %}{% if m.role == 'user' and loop.first %}{{ m['content'] | trim ~ '\\n' }}{% else %}{{- '<' + m.role + '>' + (m.content or '')[1:] }}{% endif %}{% endfor %}{{ messages | tojson(indent=2) }}"
                .utf8)
        var variables = JSONObject()
        variables["messages"] = [["role": "user", "content": " hi "], ["role": "assistant", "content": "ok"]]
        var limits = ChatTemplate.Limits()
        limits.steps = 20_000
        let signs = Array("{}%|()[]'.-~+\n*".utf8)
        var state: UInt64 = 42
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var rendered = 0
        for _ in 0..<3000 {
            var bytes = source
            for _ in 0...next(3) {
                switch next(3) {
                case 0: bytes[next(bytes.count)] = UInt8(32 + next(95))
                case 1: bytes.remove(at: next(bytes.count))
                default: bytes.insert(signs[next(signs.count)], at: next(bytes.count))
                }
            }
            if let text = try? ChatTemplate(String(decoding: bytes, as: UTF8.self)).render(variables, limits: limits) {
                rendered += text.isEmpty ? 0 : 1
            }
        }
        #expect(rendered > 100)
    }
}
