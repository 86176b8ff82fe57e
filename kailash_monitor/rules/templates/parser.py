"""Text → trees: one for the template itself, and one for each that it defines."""

import math
import re
from collections.abc import Collection, Iterator
from typing import Final

from kailash_monitor.promql.quoting import quoted, unquoted
from kailash_monitor.rules.templates.errors import TemplateError
from kailash_monitor.rules.templates.lexer import Kind, Token, tokens
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
    Number,
    Operand,
    Pipe,
    Statement,
    String,
    Text,
    Variable,
)

__all__ = ["parse"]

_MOST_DEPTH: Final = 60
"""Branches and parentheses within each other. Go allows 10,000; each costs some Python frames here."""


def parse(text: str, name: str, functions: Collection[str]) -> dict[str, Body]:
    """Give the trees of `text` by name, its own under `name`. A TemplateError where it cannot be read, worded as Go's."""
    trees: dict[str, Body] = {}
    parser = _Parser(text, name, functions, tokens(text), trees)
    parser.add(name, parser.whole())
    return trees


class _Parser:
    """Reads the tokens of one template; those that it defines have a parser each, over the same tokens.

    `_ahead` are tokens that were looked at and given back, the next one last. `_latest` is the last one that was read at
    all: Go's error texts give its line.
    """

    def __init__(
        self,
        text: str,
        name: str,
        functions: Collection[str],
        source: Iterator[Token],
        trees: dict[str, Body],
        depth: int = 0,
    ) -> None:
        self._text = text
        self._name = name
        self._functions = functions
        self._source = source
        self._trees = trees
        self._ahead: list[Token] = []
        self._latest = Token(Kind.END, 0, "")
        self._variables = ["$"]
        self._opened = 0  # the line of the action that is being read, 0 outside of one
        self._ranges = 0
        self._depth = depth

    # Tokens

    def _next(self) -> Token:
        if self._ahead:
            return self._ahead.pop()
        self._latest = next(self._source, Token(Kind.END, len(self._text), ""))
        return self._latest

    def _peek(self) -> Token:
        token = self._next()
        self._ahead.append(token)
        return token

    def _next_word(self) -> Token:
        token = self._next()
        while token.kind is Kind.SPACE:
            token = self._next()
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._ahead.append(token)
        return token

    def _expect(self, context: str, *kinds: Kind) -> Token:
        token = self._next_word()
        if token.kind not in kinds:
            raise self._unexpected(token, context)
        return token

    # Errors

    def _line(self, place: int) -> int:
        return self._text.count("\n", 0, place) + 1

    def _error(self, message: str) -> TemplateError:
        return TemplateError(f"template: {self._name}:{self._line(self._latest.place)}: {message}")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind is not Kind.ERROR:
            return self._error(f"unexpected {token.described()} in {context}")
        extra = ""
        if self._opened and self._opened != self._line(token.place):
            what = "" if token.text.endswith(" action") else " in action"
            extra = f"{what} started at {self._name}:{self._opened}"
        return self._error(f"{token.text}{extra}")

    # Bodies

    def whole(self) -> Body:
        """Read to the end of the text. Definitions go to the trees."""
        body: list[Statement] = []
        while self._peek().kind is not Kind.END:
            if self._peek().kind is Kind.OPENING:
                opening = self._next()
                word = self._next_word()
                if word == (Kind.KEYWORD, word.place, "define"):
                    self._inner()._definition()
                    continue
                self._ahead += (word, opening)
            statement = self._statement()
            if isinstance(statement, str):
                raise self._error(f"unexpected {statement}")
            body.append(statement)
        return tuple(body)

    def _inner(self) -> "_Parser":
        """A parser for a template within this one, which knows none of its variables."""
        return _Parser(self._text, self._name, self._functions, self._source, self._trees, self._depth)

    def _definition(self) -> None:
        context = "define clause"
        name = self._unquoted(self._expect(context, Kind.STRING, Kind.RAW_STRING))
        self._expect(context, Kind.CLOSING)
        body, end = self._body()
        if end != "{{end}}":
            raise self._error(f"unexpected {end} in {context}")
        self.add(name, body)

    def add(self, name: str, body: Body) -> None:
        """Keep a tree. Of two with the same name, one must be empty."""
        if not _is_empty(self._trees.get(name, ())) and not _is_empty(body):
            raise self._error(f"template: multiple definition of template {quoted(name)}")
        if _is_empty(self._trees.get(name, ())):
            self._trees[name] = body

    def _body(self) -> tuple[Body, str]:
        """Read to an end or else, which is given with what stood before it."""
        body: list[Statement] = []
        while self._peek_word().kind is not Kind.END:
            statement = self._statement()
            if isinstance(statement, str):
                return tuple(body), statement
            body.append(statement)
        raise self._error("unexpected EOF")

    def _statement(self) -> Statement | str:
        """Read a text or an action; `{{end}}` and `{{else}}` come as these words."""
        token = self._next_word()
        if token.kind is Kind.TEXT:
            return Text(token.place, token.text)
        if token.kind is not Kind.OPENING:
            raise self._unexpected(token, "input")
        self._opened = self._line(token.place)
        try:
            return self._action()
        finally:
            self._opened = 0

    def _action(self) -> Statement | str:
        token = self._next_word()
        if token.kind is Kind.KEYWORD:
            match token.text:
                case "end":
                    self._expect("end", Kind.CLOSING)
                    return "{{end}}"
                case "else":
                    following = self._peek_word()
                    if following.text not in ("if", "with") or following.kind is not Kind.KEYWORD:
                        self._expect("else", Kind.CLOSING)
                    return "{{else}}"
                case "if" | "range" | "with":
                    return self._branch(token.text)
                case "template":
                    return self._invocation()
                case "block":
                    return self._block()
                case "break" | "continue":
                    return self._jump(token)
        self._ahead.append(token)
        place = self._peek().place
        return Action(place, self._pipe("command", Kind.CLOSING))

    def _branch(self, kind: str) -> Branch:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._error("max expression depth exceeded")
        known = len(self._variables)
        pipe = self._pipe(kind, Kind.CLOSING)
        self._ranges += kind == "range"
        body, end = self._body()
        self._ranges -= kind == "range"
        otherwise = self._otherwise(kind) if end == "{{else}}" else None
        del self._variables[known:]
        self._depth -= 1
        return Branch(pipe.place, kind, pipe, body, otherwise)

    def _otherwise(self, kind: str) -> Body:
        following = self._peek()
        if kind != "range" and following == (Kind.KEYWORD, following.place, kind):
            self._next()
            return (self._branch(kind),)
        body, end = self._body()
        if end != "{{end}}":
            raise self._error(f"expected end; found {end}")
        return body

    def _jump(self, token: Token) -> Jump:
        following = self._next_word()
        if following.kind is not Kind.CLOSING:
            raise self._unexpected(following, f"{{{{{token.text}}}}}")
        if not self._ranges:
            raise self._error(f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return Jump(token.place, leaves=token.text == "break")

    def _invocation(self) -> Invocation:
        context = "template clause"
        token = self._expect(context, Kind.STRING, Kind.RAW_STRING)
        name = self._unquoted(token)
        following = self._next_word()
        if following.kind is Kind.CLOSING:
            return Invocation(token.place, name, None)
        self._ahead.append(following)
        return Invocation(token.place, name, self._pipe(context, Kind.CLOSING))

    def _block(self) -> Invocation:
        context = "block clause"
        token = self._expect(context, Kind.STRING, Kind.RAW_STRING)
        name = self._unquoted(token)
        pipe = self._pipe(context, Kind.CLOSING)
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._error("max expression depth exceeded")
        inner = self._inner()
        body, end = inner._body()
        if end != "{{end}}":
            raise self._error(f"unexpected {end} in {context}")
        inner.add(name, body)
        self._depth -= 1
        return Invocation(token.place, name, pipe)

    # Pipelines

    def _pipe(self, context: str, end: Kind) -> Pipe:
        place = self._peek_word().place
        declared, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self._next_word()).kind is not end:
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._ahead.append(token)
            commands.append(self._command())
        if not commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], Bool | Dot | Nil | Number | String):
                raise self._error(f"non executable command in pipeline stage {stage}")
        return Pipe(place, tuple(declared), assigns, tuple(commands))

    def _declarations(self, context: str) -> tuple[list[Variable], bool]:
        """Read `$x :=`, `$x =` or, of a range, `$i, $x :=`; none where something else follows."""
        declared: list[Variable] = []
        while self._peek_word().kind is Kind.VARIABLE:
            variable = self._next()
            after = self._peek()
            following = self._peek_word()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._next_word()
                self._declare(declared, variable)
                return declared, following.kind is Kind.ASSIGN
            if following.kind is not Kind.CHARACTER or following.text != ",":
                if after.kind is Kind.SPACE:
                    self._ahead.append(after)
                self._ahead.append(variable)
                return declared, False
            self._next_word()
            self._declare(declared, variable)
            if context != "range" or len(declared) > 1:
                raise self._error(f"too many declarations in {context}")
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.CLOSING, Kind.CLOSE_PAREN):
                raise self._error("range can only initialize variables")
        return declared, False

    def _declare(self, declared: list[Variable], token: Token) -> None:
        declared.append(Variable(token.place, token.text))
        self._variables.append(token.text)

    def _command(self) -> Command:
        place = self._peek_word().place
        words: list[Operand] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.CLOSING, Kind.CLOSE_PAREN):
                self._ahead.append(token)
            elif token.kind is not Kind.PIPE:
                raise self._unexpected(token, "operand")
            break
        if not words:
            raise self._error("empty command")
        return Command(place, tuple(words))

    def _operand(self) -> Operand | None:
        term = self._term()
        following = self._peek()
        if term is None or following.kind is not Kind.FIELD:
            return term
        names = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        match term:
            case Field(names=first):
                return Field(following.place, (*first, *names))
            case Variable(name=name):
                return Variable(following.place, name, tuple(names))
            case Bool() | String() | Number() | Nil() | Dot():
                raise self._error(f"unexpected . after term {quoted(str(term))}")
            case _:
                return Chain(following.place, term, tuple(names))

    def _term(self) -> Operand | None:
        token = self._next_word()
        match token.kind:
            case Kind.IDENTIFIER:
                if token.text not in self._functions:
                    raise self._error(f"function {quoted(token.text)} not defined")
                return Identifier(token.place, token.text)
            case Kind.DOT:
                return Dot(token.place)
            case Kind.NIL:
                return Nil(token.place)
            case Kind.VARIABLE:
                if token.text not in self._variables:
                    raise self._error(f"undefined variable {quoted(token.text)}")
                return Variable(token.place, token.text)
            case Kind.FIELD:
                return Field(token.place, (token.text[1:],))
            case Kind.BOOL:
                return Bool(token.place, token.text == "true")
            case Kind.RUNE | Kind.COMPLEX | Kind.NUMBER:
                return self._number(token)
            case Kind.OPEN_PAREN:
                return self._parenthesised()
            case Kind.STRING | Kind.RAW_STRING:
                return String(token.place, token.text, self._unquoted(token))
        self._ahead.append(token)
        return None

    def _parenthesised(self) -> Pipe:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._error("max expression depth exceeded")
        pipe = self._pipe("parenthesized pipeline", Kind.CLOSE_PAREN)
        self._depth -= 1
        return pipe

    def _unquoted(self, token: Token) -> str:
        try:
            return unquoted(token.text)
        except ValueError:
            raise self._error("invalid syntax") from None

    def _number(self, token: Token) -> Number:
        if token.kind is Kind.RUNE:
            return self._rune(token)
        text = token.text
        if token.kind is Kind.COMPLEX or text.endswith("i"):
            raise self._error(f"complex numbers are not supported: {quoted(text)}")
        whole = _whole(text)
        real = _real(text) if whole is None else float(whole)
        if real is None or math.isinf(real):
            raise self._error(f"illegal number syntax: {quoted(text)}")
        if whole is None and not set(text) & set(".eEpP"):
            raise self._error(f"integer overflow: {quoted(text)}")
        if whole is None and real.is_integer() and abs(real) < _INT64:
            whole = int(real)
        is_hex = text.lstrip("+-")[:2].lower() == "0x" and not set(text) & set("pP")
        if whole is not None and not -_INT64 <= whole < _INT64:
            whole = None
        return Number(token.place, text, whole, real, is_float=bool(set(text) & set(".eEpP")) and not is_hex)

    def _rune(self, token: Token) -> Number:
        value = self._unquoted(token)
        if len(value) != 1:
            raise self._error(f"malformed character constant: {token.text}" if value else "invalid syntax")
        code = ord(value)
        code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0  # a byte that is no character
        return Number(token.place, token.text, code, float(code), is_float=False)


_INT64: Final = 2**63

_OPERANDS: Final = frozenset(
    {
        Kind.BOOL,
        Kind.RUNE,
        Kind.COMPLEX,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.OPEN_PAREN,
    }
)

_WHOLE: Final = re.compile(
    r"""[+-]?(?: 0[xX](?P<hex>(?:_?[0-9a-fA-F])+) | 0[bB](?P<bin>(?:_?[01])+) | 0[oO]?(?P<oct>(?:_?[0-7])+)
               | (?P<dec>0|[1-9](?:_?[0-9])*) )""",
    re.VERBOSE,
)
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_REAL: Final = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
_HEX_REAL: Final = re.compile(r"[+-]?0[xX]_?[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9_]+")
_LONGEST: Final = 400
"""Digits of a number; a float64 can be written with fewer."""


def _whole(text: str) -> int | None:
    """`text` as an integer of 64 bits, signed or not; None where it is none."""
    found = _WHOLE.fullmatch(text) if len(text) < _LONGEST else None
    if found is None:
        return None
    name = found.lastgroup or ""
    value = int(found[name].replace("_", ""), _BASES[name]) * (-1 if text[0] == "-" else 1)
    return value if -_INT64 <= value < 2 * _INT64 else None


def _real(text: str) -> float | None:
    if _REAL.fullmatch(text):
        return float(text)
    if _HEX_REAL.fullmatch(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except (ValueError, OverflowError):
            return None
    return None


def _is_empty(body: Body) -> bool:
    return all(isinstance(statement, Text) and not statement.text.strip() for statement in body)
