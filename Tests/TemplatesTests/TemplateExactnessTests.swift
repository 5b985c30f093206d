import MartletJSON
import MartletTemplates
import Testing

/// Texts of Jinja2 3.1.6 in its immutable sandbox with `trim_blocks` and `lstrip_blocks`.
struct TemplateExactnessTests {
    @Test(arguments: [
        // Numbers.
        ("{{ 0x1F }} {{ 0o17 }} {{ 0b1_01 }} {{ 12_34 }} {{ 0_0 }} {{ 0XfF }}", "31 15 5 1234 0 255"),
        ("{{ 1_2.3_4e5_6 }} {{ 2.5e-10 }} {{ 10e1 }} {{ 1E+3 }}", "1.234e+57 2.5e-10 100.0 1000.0"),
        (
            "{{ 12345678901234567890 }} {{ 2 ** 64 + 1 }} {{ -2 ** 100 }}",
            "12345678901234567890 18446744073709551617 1267650600228229401496703205376"
        ),
        (
            "{{ '12345678901234567890'|int }} {{ '0x4d32'|int(0, 16) }} {{ '0x33Z'|int(0, 16) }} {{ '1_000'|int }}",
            "12345678901234567890 19762 0 1000"
        ),
        ("{{ '1e3'|float }} {{ '0x1'|float }} {{ ' 2_0.5 '|float }} {{ 'inf'|float }}", "1000.0 0.0 20.5 inf"),
        ("{{ [1,2].0 }}{{ {'a': [[3]]}.a.0.0 }}", "13"),
        // Groups.
        (
            "{% for g in [{'k':'b'},{'k':'A'},{'k':'a'}]|groupby('k') %}{{ g.grouper }}{{ g.list|length }}{{ g[0] }};{% endfor %}",
            "A2A;b1b;"
        ),
        (
            "{% for k, v in [{'k':'b'},{'k':'A'},{'k':'a'}]|groupby('k', case_sensitive=true) %}{{ k }}{{ v|length }};{% endfor %}",
            "A1;a1;b1;"
        ),
        // The caller as a parameter.
        (
            "{% macro m(x, caller=none) %}{{ x }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{% call m(1) %}in{% endcall %}{{ m(2) }}",
            "1in2"
        ),
        // Markup.
        (#"{{ "a"|safe + '{"b": 1}' }}"#, "a{&#34;b&#34;: 1}"), (#"{{ "<" + ("a"|safe) }}"#, "&lt;a"),
        ("{{ '<'|e|e }}{{ '<'|e|forceescape }}{{ '<'|safe|e }}", "&lt;&amp;lt;<"),
        ("{{ ('<%s>'|safe) % '<' }}{{ ('{}'|safe).format('&') }}{{ ','|safe ~ '<' }}", "<&lt;>&amp;,<"),
        (
            "{{ ('-'|safe).join(['<', 'a'|safe]) }}{{ ('<a>'|safe).upper() }}{{ ['a'|safe, 'b'] }}",
            "&lt;-a<A>[Markup('a'), 'b']"
        ),
        (
            "{% autoescape true %}{{ '<' }}{{ '<'|safe }}{% set x %}<b>{% endset %}{{ x }}{{ ['<']|join('&') }}{{ '<' ~ ('a'|safe) }}{% endautoescape %}{{ '<' }}",
            "&lt;<<b>&lt;&lt;a<"
        ),
        ("{% autoescape true %}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('&') }}{% endautoescape %}", "<&amp;>"),
        ("{{ 'x'|safe is escaped }}{{ 'x' is escaped }}{{ 'a'|safe == 'a' }}", "TrueFalseTrue"),
        // Blocks in one text.
        ("{% block a %}x{% endblock %}{{ self.a() }}", "xx"),
        (
            "{% set v = 1 %}{% for i in [7] %}{% block a scoped %}{{ i }}{% endblock a %}{% block b %}{{ i }}{{ v }}{% endblock %}{% endfor %}",
            "71"
        ),
        // Filters.
        ("{{ {'class': 'a<b', 'id': none, 'n': 1}|xmlattr }}", " class=\"a&lt;b\" n=\"1\""),
        (
            "{{ 100|filesizeformat }} {{ 1|filesizeformat }} {{ 1000|filesizeformat }} {{ 3000000|filesizeformat(true) }}",
            "100 Bytes 1 Byte 1.0 kB 2.9 MiB"
        ),
        ("{{ '<p>a  b <!-- c --> d &amp; e</p>'|striptags }}", "a b d & e"),
        ("{{ 'foo bar baz qux'|wordwrap(7) }}", "foo bar\nbaz qux"),
        ("{{ 'abcdefghij k'|wordwrap(4) }}|{{ 'abcdefgh'|wordwrap(4, false) }}", "abcd\nefgh\nij k|abcdefgh"),
        ("{{ {'b': 1, 'a': [1]}|pprint }}", "{'a': [1], 'b': 1}"), ("{{ [7]|random }}{{ ''|random }}", "7"),
        (
            "{{ 'see (http://a.example/x), www.b.org and c@d.io.'|urlize }}",
            #"see (<a href="http://a.example/x" rel="noopener">http://a.example/x</a>), <a href="https://www.b.org" rel="noopener">www.b.org</a> and <a href="mailto:c@d.io">c@d.io</a>."#
        ),
        ("{{ '{a}-{b[0]}'.format_map({'a': 1, 'b': [2]}) }}", "1-2"),
        ("{{ 'x'|nosuch if false else 'y' }}", "y"), ("{{ '\\101\\x41' }}", "AA"), ("{{ 'ΤΑΣ Σ'|lower }}", "τας σ"),
    ])
    func rendersAsJinja(_ source: String, _ expected: String) throws {
        #expect(try ChatTemplate(source).render(JSONObject()) == expected, "\(source)")
    }

    @Test(arguments: [
        ("{% extends 'a' %}", TemplateError.Kind.type), ("{% include 'a' %}", .type), ("{% import 'a' as b %}", .type),
        ("{{ {'a b': 1}|xmlattr }}", .value), ("{% block a required %}{% endblock %}", .runtime),
        ("{{ 'a'.format_map(1, 2) }}", .type), ("{{ self.x() }}", .undefined), ("{{ 2 ** 128 }}", .overflow),
    ])
    func refuses(_ source: String, _ kind: TemplateError.Kind) {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source).render(JSONObject()) }
        #expect(error?.kind == kind, "\(source): \(String(describing: error))")
    }

    @Test(arguments: [
        "{% block a %}{% endblock %}{% block a %}{% endblock %}", "{% macro m(caller) %}{% endmacro %}",
        "{% block a required %}x{% endblock %}", "{{ 007 }}",
    ])
    func refusesToCompile(_ source: String) {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source) }
        #expect(error?.kind == .syntax)
    }

    /// As transformers has it: `none`, not undefined.
    @Test func toolsAndDocumentsAreNoneWhenThereAreNone() throws {
        let template = try ChatTemplate(
            "{% if tools is not none %}x{% endif %}{{ documents is none }}{{ tools is defined }}")
        #expect(try template.render(messages: []) == "TrueTrue")
        #expect(try template.render(messages: [], tools: [["name": "f"]]) == "xTrueTrue")
    }
}
