"""Execution: a template's tree and facts → text, step by step as Go's text/template goes."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, assert_never
from urllib.parse import unquote, urlsplit

from kailash_monitor.errors import MonitoringError
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.rules.templates.errors import TemplateError
from kailash_monitor.rules.templates.facts import Facts
from kailash_monitor.rules.templates.formatting import Output, TooLong, printed
from kailash_monitor.rules.templates.functions import FUNCTIONS
from kailash_monitor.rules.templates.moments import Duration
from kailash_monitor.rules.templates.signatures import CallFailed, Function, Type, fitted
from kailash_monitor.rules.templates.times import METHODS
from kailash_monitor.rules.templates.tree import (
    Action,
    Body,
    Bool,
    Branch,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Invocation,
    Jump,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Variable,
)
from kailash_monitor.rules.templates.values import (
    Arguments,
    Data,
    Sample,
    Samples,
    Value,
    fields_of,
    is_true,
    target,
    type_name,
)

__all__ = ["expanded"]

_MOST_STEPS: Final = 50_000
"""Steps of an expansion, some tenths of a second: each statement and each call is one, and each 100 characters of a text."""
_CHARACTERS_PER_STEP: Final = 100

_MOST_QUERIES: Final = 200
"""Queries of an expansion. Each is an evaluation of its own, and all of them are made before the alert goes on."""

_MOST_DEPTH: Final = 80
"""Branches, parentheses and templates within each other. Go allows 100,000; each costs some Python frames here."""


def expanded(trees: Mapping[str, Body], name: str, text: str, facts: Facts) -> str:
    """Expand the tree called `name`, read from `text`. A TemplateError says where it failed."""
    data = Data(facts.labels, facts.external_labels, facts.external_url, float(facts.value))
    expansion = _Expansion(trees, name, text, _asking(facts))
    expansion.run(data)
    return expansion.out.text()


def _asking(facts: Facts) -> Mapping[str, Function]:
    """The functions that ask for facts."""
    asked = 0

    def query(expression: str) -> Samples:
        nonlocal asked
        asked += 1
        if asked > _MOST_QUERIES:
            raise CallFailed(f"more than {_MOST_QUERIES} queries")
        try:
            return Samples(Sample(labels, float(value)) for labels, value in facts.query(expression))
        except ParseError as error:
            raise CallFailed(error.summary) from error
        except MonitoringError as error:
            raise CallFailed(str(error)) from error

    return {
        "query": Function(query, (Type.STRING,)),
        "now": Function(lambda: facts.now),
        "externalURL": Function(lambda: facts.external_url),
        "pathPrefix": Function(lambda: unquote(urlsplit(facts.external_url).path)),
    }


class _Jumped(Enum):
    """How a body was left before its end."""

    OUT = auto()
    ON = auto()


class _Missing(Enum):
    """That a command is the first of its pipeline: no value comes before it."""

    MISSING = auto()


_MISSING: Final = _Missing.MISSING


class _Expansion:
    """One expansion. Mutable: the text so far, the variables, the node that is at work, and what may still be spent."""

    def __init__(self, trees: Mapping[str, Body], name: str, text: str, asking: Mapping[str, Function]) -> None:
        self.out = Output()
        self._trees = trees
        self._name = name
        self._text = text
        self._asking = asking
        self._template = name
        self._node: Node | None = None
        self._variables: list[tuple[str, Value]] = []
        self._steps = _MOST_STEPS
        self._depth = 0

    def run(self, data: Value) -> None:
        """Expand the template itself."""
        self._variables = [("$", data)]
        try:
            self._body(data, self._trees.get(self._name, ()))
        except TooLong as error:
            raise self._error(str(error)) from None

    # Errors and limits

    def _error(self, message: str) -> TemplateError:
        assert self._node is not None, "only nodes fail"
        before = self._text[: self._node.place]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        return TemplateError(
            f"template: {self._name}:{line}:{column}: executing {quoted(self._template)} at <{self._node}>: {message}"
        )

    def _spend(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise self._error(f"more than {_MOST_STEPS} steps")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._error(f"exceeded maximum template depth ({_MOST_DEPTH})")

    # Statements

    def _body(self, dot: Value, body: Body) -> _Jumped | None:
        for statement in body:
            self._spend()
            self._node = statement
            match statement:
                case Text(text=text):
                    self.out.add(text)
                case Action(pipe=pipe):
                    value = self._pipe(dot, pipe)
                    if not pipe.declared:
                        self._node = statement
                        self.out.printable(value)
                case Branch():
                    jumped = self._branch(dot, statement)
                    if jumped is not None:
                        return jumped
                case Invocation():
                    self._invoke(dot, statement)
                case Jump(leaves=leaves):
                    return _Jumped.OUT if leaves else _Jumped.ON
                case _:
                    assert_never(statement)
        return None

    def _branch(self, dot: Value, branch: Branch) -> _Jumped | None:
        self._deeper()
        mark = len(self._variables)
        if branch.kind == "range":
            jumped = self._range(dot, branch)
        else:
            value = self._pipe(dot, branch.pipe)
            if is_true(value):
                jumped = self._body(value if branch.kind == "with" else dot, branch.body)
            else:
                jumped = self._body(dot, branch.otherwise or ())
        del self._variables[mark:]
        self._depth -= 1
        return jumped

    def _range(self, dot: Value, branch: Branch) -> _Jumped | None:
        over = target(self._pipe(dot, branch.pipe))
        mark = len(self._variables)
        ran = False
        for index, element in self._elements(over, len(branch.pipe.declared)):
            ran = True
            self._spend()
            self._set_range(branch.pipe, index, element)
            jumped = self._body(element, branch.body)
            del self._variables[mark:]
            if jumped is _Jumped.OUT:
                break
        return None if ran else self._body(dot, branch.otherwise or ())

    def _elements(self, over: Value, variables: int) -> "list[tuple[Value, Value]] | zip[tuple[Value, Value]]":
        match over:
            case None:
                return []
            case Samples():
                return list(enumerate(over))
            case Mapping():
                return sorted(over.items())
            case int() if not isinstance(over, bool):
                if variables > 1:
                    raise self._error(f"can't use {printed([over])} to iterate over more than one variable")
                return zip(range(over), range(over), strict=True)
            case _:
                raise self._error(f"range can't iterate over {self._shown(over)}")

    def _shown(self, value: Value) -> str:
        out = Output()
        out.printable(value)
        return out.text()

    def _set_range(self, pipe: Pipe, index: Value, element: Value) -> None:
        names = [variable.name for variable in pipe.declared]
        values = [index, element] if len(names) > 1 else [element]
        for position, (name, value) in enumerate(zip(names, values, strict=False)):
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables[len(self._variables) - len(names) + position] = (name, value)

    def _invoke(self, dot: Value, node: Invocation) -> None:
        body = self._trees.get(node.name)
        if body is None:
            raise self._error(f"template {quoted(node.name)} not defined")
        self._deeper()
        given = self._pipe(dot, node.pipe) if node.pipe is not None else None
        outer, variables = self._template, self._variables
        self._template, self._variables = node.name, [("$", given)]
        self._body(given, body)
        self._template, self._variables = outer, variables
        self._depth -= 1

    # Pipelines

    def _assign(self, name: str, value: Value) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise self._error(f"undefined variable: {name}")

    def _variable(self, name: str) -> Value:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._error(f"undefined variable: {name}")

    def _pipe(self, dot: Value, pipe: Pipe) -> Value:
        self._node = pipe
        value: Value = _MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for variable in pipe.declared:
            if pipe.assigns:
                self._assign(variable.name, value)
            else:
                self._variables.append((variable.name, value))
        return value

    def _command(self, dot: Value, command: Command, final: Value) -> Value:
        first, *arguments = command.words
        match first:
            case Field() | Chain() | Variable():
                return self._fields(dot, first, arguments, final)
            case Identifier(name=name):
                self._node = first
                return self._call(dot, self._function(name), command, name, arguments, final)
            case Pipe():
                self._no_function(first, arguments, final)
                return self._parenthesised(dot, first)
        self._node = first
        self._no_function(first, arguments, final)
        if isinstance(first, Nil):
            raise self._error("nil is not a command")
        return self._constant(dot, first)

    def _no_function(self, node: Operand, arguments: list[Operand], final: Value) -> None:
        if arguments or final is not _MISSING:
            raise self._error(f"can't give argument to non-function {node}")

    def _parenthesised(self, dot: Value, pipe: Pipe) -> Value:
        self._deeper()
        value = self._pipe(dot, pipe)
        self._depth -= 1
        return value

    def _constant(self, dot: Value, node: Bool | Dot | Number | String) -> Value:
        self._node = node
        match node:
            case Bool(value=value) | String(value=value):
                return value
            case Dot():
                return dot
            case Number(is_float=True, real=real):
                return real
            case Number(whole=whole):
                if whole is None:
                    raise self._error(f"{node.text} overflows int")
                return whole
            case _:
                assert_never(node)

    # Fields

    def _fields(
        self, dot: Value, node: Field | Chain | Variable, arguments: list[Operand], final: Value = _MISSING
    ) -> Value:
        self._node = node
        match node:
            case Field(names=names):
                receiver = dot
            case Variable(name=name, fields=names):
                receiver = self._variable(name)
                if not names:
                    self._no_function(node, arguments, final)
                    return receiver
            case Chain(operand=operand, names=names):
                if isinstance(operand, Nil):
                    raise self._error(f"indirection through explicit nil in {node}")
                receiver = self._argument(dot, None, operand)
            case _:
                assert_never(node)
        for name in names[:-1]:
            receiver = self._field(dot, name, node, [], _MISSING, receiver)
        return self._field(dot, names[-1], node, arguments, final, receiver)

    def _field(self, dot: Value, name: str, node: Operand, arguments: list[Operand], final: Value, receiver: Value) -> Value:
        if receiver is None:
            return None
        pointed = target(receiver)
        method = METHODS.get(type(pointed), {}).get(name)
        if method is not None:
            bound = Function(lambda *values: method.call(pointed, *values), method.parameters)
            return self._call(dot, bound, node, name, arguments, final)
        has_arguments = bool(arguments) or final is not _MISSING
        if isinstance(pointed, Sample | Data):
            fields = dict(fields_of(pointed))
            if name in fields:
                if has_arguments:
                    raise self._error(f"{name} has arguments but cannot be invoked as function")
                return fields[name]
        elif isinstance(pointed, Mapping):
            if has_arguments:
                raise self._error(f"{name} is not a method but has arguments")
            return pointed.get(name, None if isinstance(pointed, Arguments) else "")
        raise self._error(f"can't evaluate field {name} in type {type_name(receiver)}")

    # Calls

    def _function(self, name: str) -> Function:
        return self._asking.get(name) or FUNCTIONS[name]

    def _call(
        self, dot: Value, function: Function, node: Node, name: str, arguments: list[Operand], final: Value = _MISSING
    ) -> Value:
        self._spend()
        given, fixed = len(arguments) + (final is not _MISSING), len(function.parameters)
        if function.rest is not None and given < fixed:
            raise self._error(f"wrong number of args for {name}: want at least {fixed} got {len(arguments)}")
        if function.rest is None and given != fixed:
            raise self._error(f"wrong number of args for {name}: want {fixed} got {given}")
        if function is _AND or function is _OR:
            return self._decided(dot, arguments, final, by=function is _OR)
        values = [self._argument(dot, function.type_of(index), word) for index, word in enumerate(arguments)]
        if final is not _MISSING:
            values.append(self._fitted(final, function.type_of(given - 1)))
        self._spend(sum(len(value) for value in values if isinstance(value, str)) // _CHARACTERS_PER_STEP)
        try:
            return function.call(*values)
        except CallFailed as error:
            self._node = node
            raise self._error(f"error calling {name}: {error}") from error

    def _decided(self, dot: Value, arguments: list[Operand], final: Value, *, by: bool) -> Value:
        """The first of the arguments that decides `and` or `or`, else the last; what comes after it is not evaluated."""
        value: Value = None
        for argument in arguments:
            value = self._argument(dot, Type.VALUE, argument)
            if is_true(value) == by:
                return value
        return value if final is _MISSING else final

    def _argument(self, dot: Value, wanted: Type | None, node: Operand) -> Value:
        """The value of one word, as a parameter of type `wanted` takes it. None is the type of what may be anything."""
        self._node = node
        match node:
            case Dot():
                return self._fitted(dot, wanted)
            case Nil():
                if wanted is None or not wanted.can_be_nil:
                    raise self._error(f"cannot assign nil to {wanted.value if wanted else '<nil>'}")
                return fitted(None, wanted)
            case Field() | Variable() | Chain():
                return self._fitted(self._fields(dot, node, []), wanted)
            case Pipe():
                return self._fitted(self._parenthesised(dot, node), wanted)
            case Identifier(name=name):
                return self._fitted(self._call(dot, self._function(name), node, name, []), wanted)
            case Bool() | Number() | String():
                return self._literal(dot, wanted, node)
            case _:
                assert_never(node)

    def _literal(self, dot: Value, wanted: Type | None, node: Bool | Number | String) -> Value:
        match wanted:
            case None | Type.ANY | Type.VALUE:
                return self._constant(dot, node)
            case Type.STRING if isinstance(node, String):
                return node.value
            case Type.FLOAT if isinstance(node, Number):
                return node.real
            case Type.INT if isinstance(node, Number) and node.whole is not None:
                return node.whole
            case Type.DURATION if isinstance(node, Number) and node.whole is not None:
                return Duration(node.whole)
            case Type.STRING | Type.FLOAT | Type.INT | Type.DURATION:
                raise self._error(f"expected {_KINDS[wanted]}; found {node}")
            case _:
                raise self._error(f"can't handle {node} for arg of type {wanted.value}")

    def _fitted(self, value: Value, wanted: Type | None) -> Value:
        if wanted is None:
            return value
        try:
            return fitted(value, wanted)
        except ValueError as error:
            raise self._error(str(error)) from None


_AND: Final = FUNCTIONS["and"]
_OR: Final = FUNCTIONS["or"]
_KINDS: Final = {Type.STRING: "string", Type.FLOAT: "float", Type.INT: "integer", Type.DURATION: "integer"}
