"""Random expressions and statements of chat templates: Martlet beside Jinja2 as transformers sets it up.

python3 templates.py [--seed N] [--count N]   Prints what differs: texts, or one side failing.
"""

import argparse
import copy
import json
import random
import sys

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from server import Martlet

VARIABLES = dict(
    messages=[{"role": "user", "content": " Hello, World "}, {"role": "assistant", "content": "a-b_c d", "tool_calls": [
        {"function": {"name": "f", "arguments": {"x": 1, "y": [1.5, None, True]}}}]}, {"role": "tool", "content": ["p", {"type": "text", "text": "q"}]}],
    n=3, x=2.5, z=0, s="héllo wörld", e="", t=True, none=None, l=[3, 1, 2], w=["b", "A", "c"], d={"b": 1, "a": "x", "B": [1, 2]},
    nested=[{"k": 1, "g": "u"}, {"k": 2, "g": "v"}, {"k": 1, "g": "w"}], big=1234567890123, neg=-7, tiny=1e-7, huge=1e22, text="line one\nline two\n\nlast")

ATOMS = ["n", "x", "z", "s", "e", "t", "none", "l", "w", "d", "nested", "big", "neg", "tiny", "huge", "text", "messages", "missing", "1", "0", "-2", "3.0",
         "'ab'", "\"x y\"", "[1, 2, 3]", "{'k': 1}", "(1, 2)", "true", "false", "none", "[]", "{}", "messages[0]", "messages[0].content", "messages[-1]['content']",
         "d.a", "d['b']", "d.missing", "l[0]", "l[-1]", "l[9]", "s[1:3]", "s[::-1]", "l[::2]", "l[:-1]", "w[1:]", "text[:4]", "range(3)", "range(5, 1, -2)"]
METHODS = [".upper()", ".lower()", ".title()", ".capitalize()", ".strip()", ".lstrip()", ".rstrip('lo')", ".split()", ".split('o')", ".split('o', 1)", ".rsplit(' ', 1)",
           ".startswith('h')", ".endswith(('d', 'x'))", ".replace('l', 'L')", ".replace('l', 'L', 1)", ".items()", ".keys()", ".values()", ".get('a')", ".get('q', 5)",
           ".find('l')", ".rfind('l')", ".count('l')", ".index('l')", ".join(['a', 'b'])", ".isdigit()", ".isalpha()", ".isupper()", ".splitlines()", ".zfill(9)", ".center(15)",
           ".ljust(12, '*')", ".format(1)", ".swapcase()", ".removeprefix('h')", ".removesuffix('d')", ".partition(' ')", ".rpartition(' ')", ".encode()", ".copy()", ".append(1)",
           ".pop()", ".casefold()", ".islower()", ".isspace()", ".expandtabs(4)", ".rjust(14)", ".isalnum()", ".istitle()", ".isnumeric()"]
FILTERS = ["|upper", "|lower", "|title", "|capitalize", "|trim", "|length", "|count", "|first", "|last", "|join", "|join(', ')", "|join('-', attribute='k')", "|list", "|string",
           "|int", "|int(default=7)", "|float", "|abs", "|round", "|round(1)", "|round(0, 'floor')", "|sort", "|sort(reverse=true)", "|sort(attribute='k')", "|sort(case_sensitive=true)",
           "|unique", "|unique|list", "|reverse", "|reverse|list", "|tojson", "|tojson(indent=2)", "|tojson(ensure_ascii=true)", "|tojson(sort_keys=true)", "|tojson(separators=(',', ':'))",
           "|default('D')", "|default('D', true)", "|default(value='V', boolean=true)",
           "|d(1)", "|map('upper')|list", "|map(attribute='k')|list", "|map(attribute='zz', default='?')|list", "|select|list", "|select('odd')|list", "|reject('none')|list",
           "|selectattr('k', 'equalto', 1)|list", "|selectattr('k')|list", "|rejectattr('k', 'eq', 1)|list", "|selectattr('role', 'in', ['user', 'tool'])|list", "|sum", "|sum(attribute='k')", "|min", "|max",
           "|min(attribute='k')", "|batch(2)|list", "|slice(2)|list", "|batch(2, 'f')|list", "|dictsort", "|dictsort(by='value')", "|dictsort(reverse=true)", "|items|list", "|groupby('k')", "|indent", "|indent(2, true)",
           "|indent(width=3, first=true, blank=true)", "|replace('l', 'L')", "|truncate(5)", "|truncate(8, true, '..')", "|wordcount", "|wordwrap(6)", "|center(20)", "|escape", "|e", "|safe", "|striptags",
           "|format(1)", "|urlencode", "|filesizeformat", "|pprint", "|xmlattr", "|attr('k')", "|random|length", "|map('int')|list", "|map('string')|join", "|map('default', 'x')|list", "|forceescape"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean", "true", "false", "odd", "even", "divisibleby(2)",
         "divisibleby 3", "eq(3)", "equalto 3", "ne 3", "gt 1", "ge 1", "lt 3", "le(2)", "greaterthan 1", "sameas none", "in [1, 2, 3]", "upper", "lower", "callable", "filter", "test"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or", "in", "not in"]
FORMATS = ["'%s' % ", "'%d' % ", "'%05.1f' % ", "'%r' % ", "'%5s|' % ", "'%-5s|' % ", "'%x' % ", "'%e' % ", "'%g' % ", "'%%%s' % ", "'%+d' % ", "'%.3s' % "]


def expression(rng, depth):
    kind = rng.randrange(14) if depth > 0 else 0
    if kind <= 1:
        return rng.choice(ATOMS)
    inner = expression(rng, depth - 1)
    if kind <= 4:
        return f"({inner}){rng.choice(FILTERS)}"
    if kind <= 6:
        return f"({inner}){rng.choice(METHODS)}"
    if kind == 7:
        return f"({inner}) is {'not ' if rng.random() < 0.3 else ''}{rng.choice(TESTS)}"
    if kind <= 9:
        return f"({inner}) {rng.choice(OPERATORS)} ({expression(rng, depth - 1)})"
    if kind == 10:
        return f"({inner}) if ({expression(rng, depth - 1)}) else ({expression(rng, depth - 1)})"
    if kind == 11:
        return f"{rng.choice(FORMATS)}({inner})"
    if kind == 12:
        return rng.choice([f"not ({inner})", f"-({inner})", f"[{inner}, {expression(rng, 0)}]", f"{{'q': {inner}}}", f"({inner}, )", f"dict(a={inner})",
                           f"namespace(v={inner}).v", f"({inner})[0]", f"({inner})[1:]", f"({inner}).k", f"({inner})['role']", f"joiner(',')() ~ ({inner})"])
    return f"({inner}) ~ ({expression(rng, depth - 1)})"


def statement(rng, depth):
    kind = rng.randrange(12)
    value = expression(rng, 2)
    body = lambda: statement(rng, depth - 1) if depth > 0 else "{{ " + expression(rng, 1) + " }}"
    dash = lambda: rng.choice(["", "", "-"])
    if kind == 0:
        return f"{{%{dash()} if {value} {dash()}%}} A {body()} {{% elif {expression(rng, 1)} %}} B {{%{dash()} else %}} C {{% endif {dash()}%}}"
    if kind == 1:
        return (f"{{% for i in {rng.choice(['l', 'messages', 'd', 's', 'nested', 'range(4)', value])} {rng.choice(['', 'if loop is undefined', 'if i', 'recursive'])} {dash()}%}}\n "
                f"{{{{ {rng.choice(['i', 'loop.index', 'loop.index0', 'loop.first', 'loop.last', 'loop.length', 'loop.revindex', 'loop.revindex0', 'loop.previtem', 'loop.nextitem', 'loop.depth', 'loop.changed(i)', 'loop.cycle(1, 2)', 'loop', 'i.role'])} }}}} "
                f"{rng.choice(['', '{% break %}', '{% if loop.index > 1 %}{% continue %}{% endif %}', body()])}\n{{% else %}} none {{% endfor %}}")
    if kind == 2:
        return f"{{% set v = {value} {dash()}%}} {{{{ v }}}} {{% set a, b = {rng.choice(['1, 2', 'l', '(s, n)'])} %}}{{{{ a }}}}"
    if kind == 3:
        return f"{{% set v {rng.choice(['', '| upper', '| trim'])}%}} {body()} {{% endset %}}[{{{{ v }}}}]"
    if kind == 4:
        return (f"{{% macro m(a, b={expression(rng, 1)}, c=none) {dash()}%}}<{{{{ a }}}}|{{{{ b }}}}|{{{{ varargs }}}}|{{{{ kwargs }}}}{rng.choice(['', '{{ caller() }}'])}>{{% endmacro %}}"
                f"{{{{ m({rng.choice(['1', '1, 2', 'a=n', 'n, c=3, b=4', '', '1, 2, 3, 4', 'q=1'])}) }}}}{rng.choice(['', '{{ m.name }}', '{% call m(1) %}x{{ n }}{% endcall %}', '{% call(u) m(1) %}{{ u }}{% endcall %}'])}")
    if kind == 5:
        return f"{{% set ns = namespace(c=0) %}}{{% for i in l %}}{{% set ns.c = ns.c + i %}}{{% set n = 9 %}}{{% endfor %}}{{{{ ns.c }}}} {{{{ n }}}}"
    if kind == 6:
        return f"  {{%- raw %}} {{{{ x }}}} {{% endraw -%}}\n  {{# note #}}\n\t{body()}"
    if kind == 7:
        return f"{{% filter {rng.choice(['upper', 'trim', 'indent(2)', 'title'])} %}} {body()} {{% endfilter %}}"
    if kind == 8:
        return f"{{% with a = {value}, b = 2 %}}{{{{ a }}}}{{{{ b }}}}{{% endwith %}}{{{{ a is defined }}}}"
    if kind == 9:
        return f"{{% generation %}}{body()}{{% endgeneration %}}"
    if kind == 10:
        return f"line\n  {{% if {value} %}}\n  in\n  {{% endif %}}\nend\n"
    return f"{{{{{dash()} {value} {dash()}}}}}"


def environment():
    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_generation"), [], [], body).set_lineno(line)

        @jinja2.pass_eval_context
        def _generation(self, context, caller):
            return caller()

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    result = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    result.filters["tojson"] = tojson
    result.globals["raise_exception"] = raise_exception
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--shown", type=int, default=40)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    sources = ["{{ " + expression(rng, 3) + " }}" if rng.random() < 0.6 else statement(rng, 2) for _ in range(arguments.count)]
    sandbox = environment()
    martlet = Martlet()
    (martlet.path / "in").write_text("".join(json.dumps(dict(template=source, variables=VARIABLES)) + "\n" for source in sources))
    martlet.ask("template", martlet.path / "in", martlet.path / "out")
    answers = [json.loads(line) for line in (martlet.path / "out").read_text().split("\n") if line]
    equal = failed = 0
    differences = []
    for source, answer in zip(sources, answers):
        try:
            theirs = sandbox.from_string(source).render(**copy.deepcopy(VARIABLES))  # The reference's sandbox lets some of them be changed.
        except Exception as error:
            if "error" in answer:
                failed += 1
            else:
                differences.append((source, answer["text"], f"fails: {type(error).__name__} {error}"))
            continue
        # Objects without a text of their own, addresses in memory.
        if " at 0x" in theirs or "<generator" in theirs or "random" in source:
            continue
        if answer.get("text") == theirs:
            equal += 1
        else:
            differences.append((source, answer.get("text", "fails: " + answer.get("error", "")), theirs))
    for source, own, their in differences[:arguments.shown]:
        print(f"--- {source!r}\nours   {own!r}\ntheirs {their!r}")
    print(f"Jinja2 {jinja2.__version__}: {equal} texts equal, {failed} fail in both, {len(differences)} differ")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
