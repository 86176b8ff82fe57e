"""The sandbox that templates run in. The only importer of Jinja2.

A template is written by the owner of the program, but what it works on comes from strangers, and it is rendered while the
program runs, at the worst hour. So beside what the sandbox of Jinja2 hides, each rendering has an allowance of steps,
depth and size.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, wraps
from types import BuiltinMethodType
from typing import Any, Final

from kailash_monitor.channels.allowance import (
    allowance,
    check_format,
    check_numbers,
    check_power,
    check_size,
    deep,
    made,
    shallow,
    spend,
    within,
)
from kailash_monitor.errors import MissingExtra

try:
    from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
    from jinja2.compiler import CodeGenerator, Frame
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    raise MissingExtra("a template for messages", package="Jinja2", extra="templates") from None

__all__ = ["compiled", "line_of", "rendered"]

_REMOVED: Final = ("lipsum", "pprint", "random", "urlize", "xmlattr")
"""Filters and globals that a message has no use for."""

_SHALLOW: Final = frozenset(
    {
        *("attr", "batch", "count", "d", "default", "dictsort", "first", "groupby", "items", "last", "length"),
        *("list", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr"),
        *("slice", "sort", "unique"),
    }
)
"""Filters that go through a list, but not through what is in it; the others may write all of it out."""


def compiled(source: str, *, html: bool, names: frozenset[str]) -> tuple[Template, frozenset[str]]:
    """Compile `source`, and say which of `names` it uses. In `html`, values are escaped.

    Mostly, a TemplateError tells what is wrong with it; but the compiler can raise anything.
    """
    sandbox = _sandbox(html)
    with allowance():
        template = sandbox.from_string(source)
        tree = sandbox.parse(source)
    used = meta.find_undeclared_variables(tree)
    if unknown := used - names - sandbox.globals.keys() - _set_in(tree):
        name = next(node for node in tree.find_all(nodes.Name) if node.name in unknown)
        raise _Unknown(f"{name.name!r} is none of {', '.join(sorted(names))}", name.lineno)
    return template, names & used


def rendered(template: Template, variables: Mapping[str, object]) -> str:
    """Render `template`. Raises Exceeded, or whatever an expression in it can raise."""
    pieces: list[str] = []
    length = 0
    with allowance():
        for piece in template.generate(variables):
            pieces.append(piece)
            length += len(piece)
            check_size(length)
    return "".join(pieces)


def line_of(error: BaseException) -> int | None:
    """Give the line of the template that `error` came from; None where it came from none."""
    if isinstance(error, TemplateError) and isinstance(line := getattr(error, "lineno", None), int):
        return line
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _set_in(tree: nodes.Template) -> set[str]:
    """Give the names that the template itself sets somewhere: Jinja2 takes them for unknown where that is in a branch."""
    return {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"} | {
        macro.name for macro in tree.find_all(nodes.Macro)
    }


class _Unknown(TemplateError):
    def __init__(self, message: str, lineno: int) -> None:
        super().__init__(message)
        self.lineno = lineno


class _Meter(CodeGenerator):
    """Has each loop and each `~` count."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 # a name of Jinja2's
        for loop in list(node.find_all(nodes.For)):
            loop.iter = _filtered(loop.iter, "_metered")
        for concat in list(node.find_all(nodes.Concat)):
            concat.nodes = [_filtered(part, "_measured") for part in concat.nodes]
        node.set_environment(self.environment)
        super().visit_Template(node, frame)


def _filtered(node: Any, name: str) -> nodes.Filter:  # Any: Jinja2 has expressions as mere nodes
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _metered(values: Iterable[object]) -> Iterator[object]:
    """Give what a loop goes through, a step for each."""
    for value in values:
        spend(1)
        yield value


def _measured(value: object) -> object:
    """Give `value`, which is about to be written out, or to become part of a longer text."""
    spend(deep(value))
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    code_generator_class = _Meter
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:  # Any: those of Jinja2
        super().__init__(undefined=StrictUndefined, finalize=_measured, trim_blocks=True, lstrip_blocks=True, **options)
        for name in _REMOVED:
            self.filters.pop(name, None)
            self.globals.pop(name, None)
        self.filters = {name: _bounded(name, call) for name, call in self.filters.items()}
        self.filters |= {"_metered": _metered, "_measured": _measured}

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # Any: as in Jinja2
        spend(1)
        if isinstance(obj, BuiltinMethodType):
            check_numbers([*args, *kwargs.values()])
            spend(math.prod(map(deep, [obj.__self__, *args])))  # `replace` writes one text for each character of another
        with within():
            result = super().call(context, obj, *args, **kwargs)
        made(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # Any: as in Jinja2
        match operator, left, right:
            case "*", str() | list() | tuple(), int():
                check_size(len(left) * right)
            case "*", int(), str() | list() | tuple():
                check_size(left * len(right))
            case "*", int(), int():
                check_power(left, 1)
                check_power(right, 1)
            case "**", int(), int():
                check_power(left, right)
            case "%", str(), _:
                check_format(left)
                spend(shallow(left) * deep(right))
            case _:
                pass
        result = super().call_binop(context, operator, left, right)
        made(result)
        return result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:  # Any: as in Jinja2
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            check_format(value.__self__)
        return wrapped


@lru_cache(maxsize=2)
def _sandbox(html: bool) -> _Sandbox:
    return _Sandbox(autoescape=html)


def _bounded(name: str, call: Callable[..., object]) -> Callable[..., object]:
    """Give the filter `call` within the allowance."""
    steps = shallow if name in _SHALLOW else deep
    first = 1 if hasattr(call, "jinja_pass_arg") else 0  # before it stands the context, or the environment

    @wraps(call)  # and with that mark
    def bounded(*args: object, **kwargs: object) -> object:
        value, *options = [*args[first:], *kwargs.values()]
        if name not in ("d", "default"):
            check_numbers(options)
        if name == "format":
            check_format(str(value))
        spend(math.prod(map(steps, [value, *options])))
        result = call(*args, **kwargs)
        made(result)
        return result

    return bounded
