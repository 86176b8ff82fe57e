"""YAML into nodes with lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor import yaml_source
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.yaml_source import parse_yaml


def test_every_node_knows_its_line() -> None:
    root = parse_yaml("a: 1\nb:\n  - x\n  - c: {d: true}\n", "f.yaml")
    assert root.plain() == {"a": 1, "b": ["x", {"c": {"d": True}}]}
    assert [root.line_of(path) for path in (("a",), ("b",), ("b", 1), ("b", 1, "c", "d"), ("b", 9), ("z",))] == [
        1,
        2,
        4,
        4,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("", {}), ("a: null", {"a": None}), ("a: 1.5", {"a": 1.5}), ("a: 2024-01-01", {"a": "2024-01-01"}), ("a: =", {"a": "="}),
     ("a: 0x1F", {"a": 31}), ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
     ("a: !!map {b: !!seq [1]}", {"a": {"b": [1]}}), ("a: [&x [1], *x]", {"a": [[1], [1]]})],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    assert parse_yaml(text, "f").plain() == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"f.yaml:1:\d+: .*; one YAML document"),
        ("a: 1\n---\nb: 2", r"f.yaml:2:1: but found another document"),
        ("a: 1\nb: 2\na: 3", r"f.yaml:3:1: the key 'a' for the second time, first in line 1; keep one"),
        ("1: x", "f.yaml:1:1: the key '1'; keys are texts; put it into quotes"),
        ("[a]: x", "f.yaml:1:1: the key "),
        (
            "a: !!python/object:os.system x",
            "the tag 'tag:yaml.org,2002:python/object:os.system'; plain YAML has no such tag",
        ),
        ("a: !!int x", "f.yaml:1:4: a value that is no int; a valid int"),
        ("a: \x00", "f.yaml"),
        ("a: *nowhere", r"f.yaml:1:4: found undefined alias; a text that begins with \* stands in quotes$"),
        ("a: &a [*a]", "f.yaml:1:4: a value that contains itself; no such alias"),
        ("a: &a {b: [*a]}", "f.yaml:1:4: a value that contains itself"),
        ("a: !!set {x}", "f.yaml:1:4: the tag 'tag:yaml.org,2002:set'; plain YAML has no such tag"),
        ("a: !mine [x]", r"f.yaml:1:4: a tag \(a text that begins with ! stands in quotes\); plain YAML has no such tag"),
        ("a: !!python/object/apply:os.system [x]", "f.yaml:1:4: the tag "),
        ("a: " + "[" * 200 + "]" * 200, "f.yaml:1:103: values that are nested too deeply; at most 100 levels"),
        pytest.param(
            "[" * 1100 + "]" * 1100,
            "f.yaml: values that are nested too deeply; at most 100 levels",
            marks=pytest.mark.untraced,
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_yaml(text, "f.yaml")


@pytest.mark.untraced
def test_aliases_of_aliases_are_not_followed_for_ever() -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(ConfigurationError, match=f"more than {yaml_source.MAX_NODES} values; split the file"):
        parse_yaml(laughs, "f.yaml")


@given(st.text(alphabet=st.sampled_from(list("ab: -[]{}&*!|>'\"\n#%@`?0\t,."))))
def test_any_text_gives_nodes_or_its_own_error(text: str) -> None:
    try:
        parse_yaml(text, "f").plain()
    except ConfigurationError as error:
        assert str(error).startswith("f")
