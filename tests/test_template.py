"""Templates: rendered per row in a sandbox; whatever goes wrong in one is a TemplateError, for that row alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from distil_sql.prompt.template import Template, TemplateError


def render(text: str, values: Mapping[str, Any] | None = None) -> str:
    return Template(text).render(values or {})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ x.__class__.__mro__ }}",
        "{{ x|attr('__class__') }}",
        "{{ x['__class__'] }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ x.format(1) }}",
        "{{ x.encode.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include 'secret' %}",
        "{% import 'os' as os %}",
        "{% extends 'secret' %}",
    ],
)
def test_nothing_outside_the_row_can_be_reached(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, {"x": "{0.__class__}"})


@pytest.mark.parametrize(
    "text",
    ["{{ x.append(1) }}", "{{ x.clear() }}", "{{ y.pop('a') }}", "{{ y.update(b=1) }}", "{% set y.a = 2 %}"],
)
def test_a_row_cannot_be_changed(text: str) -> None:
    values: dict[str, Any] = {"x": [1], "y": {"a": 1}}
    with pytest.raises(TemplateError):
        render(text, values)
    assert values == {"x": [1], "y": {"a": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{{ range(1000000)|list }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_what_would_never_end_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ x / 0 }}", "division by zero"),
        ("{{ x + 'a' }}", "unsupported operand"),
        ("{{ x.y.z }}", "no attribute 'y'"),
        ("{{ [1][5] }}", "no element 5"),
        ("{{ '{a}'.format() }}", "KeyError: 'a'"),
        ("{{ '{0}'.format() }}", "IndexError"),
        ("{{ []|first }}", "sequence was empty"),
        ("{% if true %}{{ y }}{% endif %}", "'y' is undefined"),
    ],
)
def test_a_row_that_does_not_fit_is_a_template_error_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match="the prompt template cannot be rendered: ") as raised:
        render(text, {"x": 1})
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("{{ x", 0),
        ("one\n{{ x | nofilter }}", 4),
        ("one\ntwo {% if %}{% endif %}", 4),
        ("{% for i in x %}", 0),
        ("one\r\ntwo\r\n{{ } }}", 10),
        ("{{ 'a", 0),
        ("{% do x.append(1) %}", 0),
    ],
)
def test_a_template_that_does_not_parse_says_where(text: str, offset: int) -> None:
    with pytest.raises(TemplateError, match="the system template does not parse: ") as raised:
        Template(text, "system")
    assert (raised.value.part, raised.value.offset) == ("system", offset)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (2**70, "1180591620717411303424"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02 03:04:05"),
        (["a", None, "é"], '["a", null, "é"]'),
        ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'),
        ("{{ y }} {% raw %}", "{{ y }} {% raw %}"),
        ("<b>&", "<b>&"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("template", ["[{{ x }}]", "[{% if true %}{{ x }}{% endif %}]"])
def test_a_value_reads_as_sql_prints_it(template: str, value: object, text: str) -> None:
    """The plain path and Jinja's own say the same."""
    assert render(template, {"x": value}) == f"[{text}]"


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("{% for i in x %}{{ loop.index }}. {{ i }}\n{% endfor %}", {"x": ["a", "b"]}, "1. a\n2. b\n"),
        ("{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}", {"x": {"a": 1, "b": None}}, "a=1;b=;"),
        ("{{ x.a.b[0] }}", {"x": {"a": {"b": ["c"]}}}, "c"),
        ("{% if x %}yes{% else %}no{% endif %}", {"x": None}, "no"),
        ("{% if x is none %}null{% endif %}", {"x": None}, "null"),
        ("{% for i in range(x) %}{{ i }}{% endfor %}", {"x": 3}, "012"),
        (
            "{% set n = namespace(s=0) %}{% for i in x %}{% set n.s = n.s + i %}{% endfor %}{{ n.s }}",
            {"x": [1, 2]},
            "3",
        ),
        ("{{ x | upper }} {{ x | length }}", {"x": "ab"}, "AB 2"),
        ("{{ x | json }} {{ x | tojson }}", {"x": "<é>"}, '"<é>" "<é>"'),
        ("{{ x | map('upper') | join(', ') }}", {"x": ["a", "b"]}, "A, B"),
        ("{% raw %}{{ x }}{% endraw %}", {}, "{{ x }}"),
        ("a{# a comment #}b\n", {}, "ab\n"),
        ("{% if x %}\n  a\n{% endif %}\nb", {"x": 1}, "  a\nb"),
        ("{{ x }}", {"x": "a\n"}, "a\n"),
        ("", {}, ""),
    ],
)
def test_loops_lists_structs_and_filters(text: str, values: dict[str, Any], rendered: str) -> None:
    assert render(text, values) == rendered


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{{ x }} {{ y.z }}", {"x", "y"}),
        ("{% for i in x %}{{ i }} {{ loop.index }}{% endfor %}", {"x"}),
        ("{% set x = 1 %}{{ x }}", set()),
        ("{% if y %}{% set x = {'a': 1} %}{% if y in x %}{{ x[y] }}{% endif %}{% endif %}", {"y"}),
        ("{% set a, b = y %}{{ a }}{% set c %}block{% endset %}{{ c }}", {"y"}),
        ("{{ range(3) }} {{ dict(a=1) }}", set()),
        ("{% raw %}{{ x }}{% endraw %}{# {{ y }} #}", set()),
    ],
)
def test_the_variables_are_what_a_row_must_bring(text: str, variables: set[str]) -> None:
    assert Template(text).variables == variables


def test_the_offset_of_a_variable_is_where_it_is_used_not_where_it_is_written() -> None:
    text = "topic: {{ topicality }} {% if topic %}{{ topic }}{% endif %}"
    assert Template(text).offset_of("topic") == text.index("topic %}")


def test_a_name_of_jinjas_own_does_not_crash() -> None:
    for text in ("{{ range }}", "{{ cycler }}", "{{ self }}"):
        assert render(text)  # useless, but no crash


COLUMNS: dict[str, list[Any]] = {
    "text": [" a ", "b", "b", "100%", "", "{{ x }}"],
    "same": ["s"] * 6,
    "null": [None] * 6,
    "mixed": [1, True, None, 1.0, Decimal("1.00"), dt.date(2026, 1, 2)],
    "items": [[1, "ü"], [], None, {"a": True}, [None], [1.0]],
}


@pytest.mark.parametrize("part", ["prompt", "system"])
@pytest.mark.parametrize(
    "text",
    [
        "{{ text }}",
        "100% of {{ text }} %s %(x)d {{ mixed }}%",
        "plain 5%",
        "{{ mixed }} {{ items }} {{ null }}",
        "{{ same | upper }} {{ null or 'none' }}",
        "{% if mixed is boolean %}yes{% endif %}{{ mixed }}",
        "{% set text = text | trim %}{{ text }}",
        "{% if same %}{% set text = text ~ '!' %}{% endif %}{{ text }}",
        "{% for text in [text] %}{{ text }}{% endfor %}",
        "{{ items[0] }}",
        "{% if text == 'b' %}{{ 'not b' | reject }}{% endif %}ok",
        "{% if same %}never {{ 1 }}{% endif %}",
    ],
)
def test_a_column_of_rows_reads_as_each_of_them_does(text: str, part: str) -> None:
    def one(template: Template, values: Mapping[str, Any]) -> str:
        try:
            return template.render(values)
        except TemplateError as error:
            return repr(error)

    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    alone = [one(Template(text, part), row) for row in rows]
    together = Template(text, part).render_all(COLUMNS, len(rows))
    assert [row if isinstance(row, str) else repr(row) for row in together] == alone
    remembers = Template(text, part)
    assert [one(remembers, row) for row in rows] == alone


@pytest.mark.parametrize(
    "text", ["{{ range(1000) | random }}", "{{ [[1, 2]] | map('random') | list }}", "{{ lipsum() }}"]
)
@pytest.mark.parametrize("columns", [{}, {"x": ["a"] * 40}])
def test_what_is_drawn_is_drawn_for_each_row(text: str, columns: dict[str, list[str]]) -> None:
    for part in ("prompt", "system"):
        assert len(set(map(str, Template(text, part).render_all(columns, 40)))) > 1
