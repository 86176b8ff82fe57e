"""The stated token: what changes over HTTP need, where whoever starts the program says so."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kailash_monitor.channels.checks import Secret, SecretUnreadable
from kailash_monitor.cli.failure import WrongUse
from kailash_monitor.web import Listen

__all__ = ["VARIABLE", "check_reach_of", "stated_token"]

VARIABLE: Final = "KAILASH_MONITOR_TOKEN"

SHORTEST: Final = 16
"""Characters of a token: whoever gets hold of a cookie can try tokens on it, without asking us."""

WAYS: Final = f"{VARIABLE} in the environment, --token-file, or token_file: in the configuration"


def stated_token(option: Path | None, in_file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Give the token that is stated: in the file of the option, else in the environment, else in the configuration's file.

    None where it is stated nowhere. A WrongUse where the file cannot be read, or what it holds is no token.
    """
    if option is not None:
        return _in_file(option)
    if environment.get(VARIABLE):
        return _checked(environment[VARIABLE], VARIABLE)
    return None if in_file is None else _in_file(in_file)


def check_reach_of(listen: Listen | None, token: str | None) -> None:
    """Raise a WrongUse where others can reach what listens there, and no token was stated.

    A token of chance, as for programs that only this machine reaches, is known to nobody who comes from elsewhere; and
    whoever has others look at it shall have thought about what they may do.
    """
    if listen is not None and not listen.is_local and token is None:
        raise WrongUse(
            f"other machines can reach {listen}, and no token is stated: state one (`openssl rand -hex 32` makes one) by "
            f"{WAYS}; or listen on 127.0.0.1"
        )


def _in_file(path: Path) -> str:
    try:
        token = Secret.of(None, path, field="token", where="run").reveal()
    except SecretUnreadable as error:
        raise WrongUse(f"the token: {error}") from None
    return _checked(token, str(path))


def _checked(token: str, where: str) -> str:
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        expected = f"at least {SHORTEST} characters of printable ASCII without spaces"
        raise WrongUse(f"the token in {where} is too short or cannot stand in a header: use {expected}")
    return token
