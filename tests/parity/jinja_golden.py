# tests/parity/jinja_golden.py - the golden file about Jinja: templates and what transformers' own environment renders
# (null: it raises). usage: jinja_golden.py OUT_DIR (make_golden.py calls it, too)
import json
import os
import sys

from transformers.utils.chat_template_utils import render_jinja_template

V = {"s": "Hello <World> it's \"q\"", "e": "", "u": "é😀 ß\tx\n y", "n": 5, "z": 0, "neg": -7, "f": 1.5, "tiny": 1e-07, "huge": 1e20,
     "big": 12345678901234567890123, "vast": 10 ** 40, "m0": -0.0, "one": 1.0, "t": True, "no": None, "l": [3, 1, 2], "ls": ["b", "A", "c"],
     "lm": [1, "a", None, 2.5, True], "d": {"b": 1, "a": {"c": [1, 2.0, 1e-5]}, "items": "I"}, "w": "the quick  brown fox-jumps (over)",
     "multi": "a\n  b\r\n\nc\n", "ld": [{"k": "b", "v": 1}, {"k": "A", "v": 2.5}, {"k": "b", "v": None}, {"v": 3}]}
# Printed between {{ and }}.
EXPRESSIONS = """
1e-05 | 1e20 | 1.5e-7 | 1e16 | 1e15 | 123456789.123 | 0.1 + 0.2 | 1.0 | -0.0 | 2 / 1 | 7 // 2 | -7 // 2 | 7 // -2 | -7 % 3 | 7 % -3 | 7.5 // 2
-7.5 % 2 | 2 ** 10 | 2 ** -1 | 1_000 | 0x1F | 10 ** 20 | v.big | v.vast | v.huge | v.tiny | v.m0 | v.one | 1e-7 ¦tojson | 1e20¦tojson | v.big¦tojson
v.vast¦tojson | v.m0¦tojson | v.one¦tojson | [1e-05, 1e20, 1.0]¦tojson | [1e-05, 1e20] | {'a': 1e-07} | 'x' ~ 1e-07 | [1e-07, 1e22]¦join(',') | 1e-07¦string
1e20¦int | 1.9¦int | 'x'¦int | '42'¦int | ' 7 '¦int | '1_000'¦int | '0x1f'¦int(0, 16) | '3.7'¦int | 'x'¦int(9) | none¦int | true¦int | '1e3'¦float | 'x'¦float
'nan'¦float | 'inf'¦float¦string | 2.5¦round | 3.5¦round | 2.675¦round(2) | 42¦round | 42.55¦round(1, 'floor') | 42.11¦round(1, 'ceil') | true + 1 | 1 == 1.0
1 == true | '1' == 1 | none == false | 1 < 2 < 3 | 1 < 3 < 2 | 'a' < 'b' | 'a' < 1 | [1, 2] < [1, 3] | none < 1 | 'abc' is sequence | 'abc' is iterable | 5 is iterable
none is iterable | v.d is sequence | v.d is mapping | true is number | true is integer | 1.0 is integer | 1.0 is float | v.nope is defined | v.nope.nope | v.no is none
v.no is defined | nope | nope + 1 | nope ~ 1 | nope¦length | none¦length | 5¦length | 'é😀'¦length | nope == nope | not nope | none.x | v.no.x is undefined
v.d['items'] | v.d.b | v.d.keys()¦list | v.d.get('zz') | v.d.get('zz', 3) | v.d.items()¦list | v.d.update({}) | v.d.nope | v.l.append(1) | v.l[-1] | v.l[9] | v.l['a']
v.l[::-1] | v.l[1:] | v.s[::2] | v.s[-3:] | v.s[100] | v.s.nope | v.l.0 | (1, 2) | (1,) | () | [1, 'a', none, true] | ['it\\'s', "a\\"b", 'x\\ny\\t\\\\'] | 'é\\x00\\u200b'¦pprint
{'a': [1, (2,)], 'b': {}} | {1: 2, none: 3, true: 4} | {'a': 1}.a | 'a' 'b' | 'a' * 3 | [1] * 2 | 'ab' + 'c' | 'a' + 1 | [1] + [2] | 'a' in 'abc' | 1 in [1.0] | 'k' in {'k': 1}
1 in 'abc' | 'a' in none | 'a' not in v.ls | [1] in {} | '%s' % 'x' | '%s-%d' % ('a', 5) | '%05.1f' % 3.14159 | '%x' % 255 | '%(a)s' % {'a': 1} | '%d' % 'x' | '%s %s' % 'a' | '%r' % 'q'
'%5s¦%-5s¦' % ('a', 'b') | '%e' % 12345.678 | '%g' % 1e-10 | '%%' % () | '{} {}'.format(1, 'a') | '{0:>5}|{1:.2f}'.format('a', 2.5) | '{a[b]}'.format(a={'b': 3}) | '{:,}'.format(1234567) | '{!r}'.format('x')
v.s¦center(30) | 'ab'¦center(5) | v.w¦truncate(9) | v.w¦truncate(9, true) | v.w¦truncate(12, false, '!', 0) | v.w¦wordcount | 'a/b c&é'¦urlencode | {'a b': 1, 'c': 'd/e'}¦urlencode
'a-b-c'.partition('-') | 'a-b-c'.rpartition('-') | 'abc'.partition('x') | v.d¦pprint | v.w¦title | v.w.title() | "it's o'clock".title() | 'hELLO wORLD'¦capitalize | 'ß'¦upper | 'Straße'.upper()
'ÀÉ'¦lower | 'a,b,,c'.split(',') | ' a  b '.split() | 'a b c'.split(' ', 1) | 'a b c'.rsplit(' ', 1) | v.multi.splitlines() | v.multi.splitlines(true) | 'xxaxx'.strip('x') | '\\x1f a '.strip() | 'a b'.replace(' ', '_')
'aaa'¦replace('a', 'b', 2) | 'abc'.replace('', '-') | 'abc'.startswith(('x', 'a')) | 'abc'.find('c') | 'abc'.index('z') | 'a-b'.zfill(6) | '-5'.zfill(4) | 'x'.ljust(3) ~ '¦' | 'x'.rjust(3, '.') | 'ab'.center(5, '*')
'abab'.count('ab') | ''.join(['a', 'b']) | '-'.join([1]) | 'abc'.isalpha() | '12'.isdigit() | 'aB'.swapcase() | 'abc'.removeprefix('a') | 'abc'.removesuffix('c') | 'abc'.nope() | 'abc'¦nope
v.ls¦sort | v.ls¦sort(case_sensitive=true) | v.l¦sort(reverse=true) | v.lm¦sort | v.ld¦map(attribute='k')¦list | v.ld¦map(attribute='k', default='?')¦join(',') | v.ld¦sort(attribute='v') | v.ld[:2]¦sum(attribute='v')
v.ld¦selectattr('k', 'equalto', 'b')¦list¦length | v.ld¦rejectattr('v')¦list | v.ld¦selectattr('k', 'defined')¦map(attribute='v')¦list | v.ld[:3]¦groupby('k') | v.l¦map('string')¦join('+') | v.l¦select('odd')¦list
v.l¦reject('gt', 1)¦list | v.l¦first | v.l¦last | []¦first | v.l¦min | v.l¦max | v.ls¦max | v.l¦sum | v.l¦reverse¦list | 'abc'¦reverse | v.lm¦unique¦list | ['a', 'A']¦unique¦list | v.d¦dictsort | v.d¦items¦list
v.l¦batch(2)¦list | v.l¦batch(2, 0)¦list | v.l¦slice(2)¦list | v.l¦list | 'abc'¦list | v.l¦join | v.l¦map('nope')¦list | v.l¦select¦length | v.l¦tojson | v.d¦tojson | v.d¦tojson(indent=2) | v.d¦tojson(sort_keys=true)
v.d¦tojson(separators=(',', ':')) | v.u¦tojson | v.u¦tojson(ensure_ascii=true) | '<&>'¦tojson | (1, 2)¦tojson | {1: none, true: 2}¦tojson | nope¦tojson | range(3)¦tojson | 'a\\x7f\\x01'¦tojson | v.s¦e | '<b>'¦safe ~ '<' | '<b>'¦safe + '<' | '<' + '<b>'¦safe | ('a'¦safe + v.s¦e + '"') is escaped | 'x'¦safe + v.d¦tojson
'<'¦e¦e | '<'¦forceescape¦forceescape | v.multi¦indent | v.multi¦indent(2, true, true) | 'a'¦indent('> ', first=true) | 1048576¦filesizeformat | 1500¦filesizeformat | v.nope¦default('D') | v.e¦default('D') | v.e¦default('D', true)
v.no¦default('D') | v.no or 'x' | v.e and 1 | 'a' if v.e | 'a' if v.e else 'b' | 1 if 0 else 2 if 0 else 3 | range(3) | range(3)¦list | range(5, 0, -2)¦list | range(10)[3] | range(200000) | dict(a=1, b=2) | dict([('a', 1)])
namespace(a=1).a | namespace(a=1).b | namespace(_a=1) | cycler('a', 'b').next() | joiner(';')() | raise_exception('no') | 'x' is filter | 'trim' is filter | 'odd' is test | 4 is divisibleby 2 | 4 is divisibleby(3)
'a' is in ['a'] | 3 is odd | 3 is not even | 3.0 is odd | 'AB' is upper | 'Ab' is lower | v.no is sameas none | v.t is sameas true | v.t is true | 1 is true | v.l is string | raise_exception is callable | nope is callable
-1¦abs | -1.5¦abs | - v.n | +true | -true | not 1 == 2 | 2 + 3 * 4 | (2 + 3) * 4 | 2 ** 3 ** 2 | 10 - 2 - 3 | 1 ~ 2 + 3 ~ 4 | 'a' ~ none ~ true ~ 1.0 | 1 / 0 | 5 % 0 | 1 // 0.0 | 7 // 2.0 | 'ab'.0 | 'a'.upper().lower()
v.l.index(1) | v.l.count(1) | v.l.sort() | 'a\\u00e9\\x41\\101\\q' | "a'b" 'c"d' | v['s'].upper() | v.d.a.c[2] | v.d.a.c | (v.l¦map('string')) is iterable | (v.l¦map('string')) is string | (v.l¦select('gt', 9)) is true
v.ld¦map(attribute='v')¦reject('none')¦list | 'Hello'[1] | 'Hello'[-1:] | {'b': 1, 'a': 2}¦tojson | loop | 1.5 is number | 'x'.join('abc') | 'a\\nb'¦string | '😀'[0] | '1.50'¦float | 100000000000000000000¦string | 3 * [0]
"""
# Whole templates.
TEMPLATES = [
    "{% for m in messages %}{% endfor %}-{{ m }}", "{% for x in none %}{% endfor %}", "{% for x in nope %}a{% else %}b{% endfor %}", "{% for x in 5 %}{% endfor %}",
    "{% for k in v.d %}{{ k }};{% endfor %}", "{% for k, w in v.d.items() %}{{ k }}={{ w }};{% endfor %}", "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}",
    "{% for x in v.l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.length }};{% endfor %}",
    "{% for x in v.l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in v.lm %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x is string) }}{% endfor %}",
    "{% for x in v.l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for x in v.l recursive %}{{ x }}{% if x == 3 %}[{{ loop([7, 8]) }}]{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% set a = 1 %}{% for x in v.l %}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }}", "{% set a = 1 %}{% if true %}{% set a = 2 %}{% endif %}{{ a }}",
    "{% for x in v.l %}{{ bos }}{% endfor %}{% set bos = 'B' %}{{ bos }}", "{% set ns = namespace(n=0) %}{% for x in v.l %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
    "{% set d = {} %}{% set d.x = 1 %}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = [1] %}", "{% set x %}<{{ v.n }}>{% endset %}{{ x }}{{ x|length }}", "{% set x | upper | trim %} ab {% endset %}[{{ x }}]",
    "{% macro m(a, b=2, c=b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=5) }} {{ m() }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m() %}[{{ caller('x') }}]{% endmacro %}{% call(y) m() %}{{ y }}!{% endcall %}",
    "{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(4) }}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 'late' %}{{ m() }}", "{{ m() }}{% macro m() %}{% endmacro %}",
    "{% filter upper %}a{{ v.s }}{% endfilter %}", "{% with a = 1, b = v.n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% raw %}{{ x }}{% if %}{% endraw %}", "{# c #}a{#- d -#} b", "a  {%- if 1 %}  b  {%- endif %}  c",
    "a\n  {% if 1 %}\n  b\n  {% endif %}\nc\n", "a\n  {%+ if 1 %}\nb{% endif +%}\nc", "{{ 'x' -}}  \n y", "  {{- 'x' }} y\n\n", "a\r\nb\rc\n", "{% if 1 %}a{% elif 2 %}b{% else %}c{% endif %}", "{% if 0 %}{{ x|nope }}{% endif %}ok",
    "{% for x in [] %}{{ x|nope }}{% endfor %}ok", "{% if %}", "{{ 1 +  }}", "{% for x in v.l %}", "{% endif %}", "{{ 'a }}", "{% nope %}", "{{ {'a': {'b': 1}}.a.b }}", "{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}",
    "{% set j = joiner('|') %}{% for x in v.l %}{{ j() }}{{ x }}{% endfor %}", "{% print 1, 'a' %}", "{% set g = v.l|map('string') %}{{ g|list }}{{ g|list }}", "{% if v.l|select('gt', 9) %}true{% endif %}", "{% set ns = namespace() %}{{ ns.x }}{{ ns.x is defined }}",
    "{% for x in v.l %}{% break %}{% else %}e{% endfor %}", "{% for x in v.l %}{% if x < 3 %}{% continue %}{% endif %}{{ x }}{% else %}e{% endfor %}", "{% filter length %}a{% endfilter %}",
    "{% set loop = 1 %}{{ loop }}", "{% for loop in v.l %}{% endfor %}", "{% break %}", "{% do v.l.append(1) %}", "{% include 'x' %}", "{% generation %}a{% endgeneration %}b", "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "{{ messages[0].thinking is defined }}{{ tools is none }}{{ tools is defined }}{{ documents is none }}{{ bos_token is defined }}{{ add_generation_prompt }}", "{{ (v.s ~ '\\n') * 2 }}",
    "{{ self is defined }}{{ self is callable }}{{ self is mapping }}{{ self is iterable }}{{ self is sequence }}{{ self }}{{ self == self }}{{ self and 1 }}",
    "{{ self.x is defined }}", "{{ self.x }}", "{{ self() }}", "{{ self|length }}", "{% set self = 1 %}{{ self }}", "{% macro m() %}{{ self is defined }}{% endmacro %}{{ m() }}",
    "{% for x in v.l %}{{ self is defined }}{% endfor %}", "{{ self + 1 }}", "{{ self|string }}{{ [self] }}", "{{ self|tojson }}", "{%- for x in v.l -%} {{ x }} {%- endfor -%} z",
]
# Rendered by Jinja2 and refused by kairo: what is printed is an address in memory, or needs what kairo does not have.
REFUSED = ["{{ v.d.items }}", "{{ v.l | map('upper') }}", "{{ 'a b c'|wordwrap(2) }}", "{{ 'http://a.b'|urlize }}", "{{ {'a': 1}|xmlattr }}", "{{ '<b>x</b>'|striptags }}", "{{ (-1) ** messages|length }}", "{{ 'a'.expandtabs() }}", "{{ 1 .real }}", "{{ 'ab'|safe * 2 }}", "{{ 'ab'|safe|first }}{{ ('ab'|safe)[0] }}", "{% block a %}x{% endblock %}", "{{ 'a'.encode() }}"]


def render(template):
    try:
        text, _ = render_jinja_template([[{"role": "user", "content": "hi", "v": V}]], chat_template=template, eos_token="<|im_end|>")
        return text[0]
    except Exception:
        return None


def write(out):
    os.makedirs(out, exist_ok=True)
    expressions = [e.strip().replace("¦", "|") for line in EXPRESSIONS.strip().split("\n") for e in line.split(" | ")]
    templates = ["{{ " + e + " }}" for e in expressions] + TEMPLATES
    head = "{% set v = messages[0].v %}"
    rows = [[t, render(head + t)] for t in templates]
    assert not any(" at 0x" in text for _, text in rows if text) and all(render(head + t) for t in REFUSED)
    with open(f"{out}/jinja.json", "w", encoding="utf-8") as file:
        lines = [",\n".join(json.dumps(row, ensure_ascii=False) for row in part) for part in (rows, REFUSED)]
        file.write('{"v": ' + json.dumps(V, ensure_ascii=False) + f',\n"rows": [\n{lines[0]}\n],\n"refused": [\n{lines[1]}\n]}}\n')


if __name__ == "__main__":
    write(sys.argv[1])
