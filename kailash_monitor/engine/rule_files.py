"""Rule files: finds them by their patterns, reads them, and has a core judge what they say."""

import glob
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kailash_monitor.engine.core import Core
from kailash_monitor.errors import InvalidFile, RuleError
from kailash_monitor.rules.loaded_rules import LoadedRules, loaded_rules
from kailash_monitor.rules.rule_file import RuleFile, read_rule_file
from kailash_monitor.yaml_source import text_of

__all__ = ["RuleFiles", "read_rule_files"]

_logger: Final = logging.getLogger("kailash_monitor.engine")

NOTHING: Final = LoadedRules({}, {})


def read_rule_files(patterns: Mapping[str, float]) -> LoadedRules:
    """Read Prometheus' rule files; a pattern may have `*`, `?`, `[…]` and `**`. An InvalidFile lists all that is wrong.

    A group that does not say how often is evaluated as often as its file's pattern says, in seconds.
    """
    files, intervals, problems = dict[str, RuleFile](), dict[str, float](), list[str]()
    for pattern, interval in patterns.items():
        for path in _paths(pattern, problems):
            intervals[path] = interval
            if path in files:
                continue
            try:
                files[path] = read_rule_file(text_of(Path(path)), path)
            except InvalidFile as error:
                problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return loaded_rules(files, intervals)


def _paths(pattern: str, problems: list[str]) -> list[str]:
    paths = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
    if not paths:
        problems.append(f"{pattern}: no such file; the pattern must match one at least")
    return paths


class RuleFiles:
    """The rules that one manager has from files. Mutable: what was loaded, by who calls it.

    Where it does not `record`, since its expressions are evaluated elsewhere, recording rules are left to whoever does that.
    """

    def __init__(self, core: Core, *, record: bool = True) -> None:
        self._core = core
        self._record = record
        self._patterns: dict[str, float] = {}
        self.loaded = NOTHING

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns by which files are found."""
        return tuple(self._patterns)

    def load(self, patterns: Sequence[str], interval: float) -> list[str]:
        """Have the files of these patterns judged as well, from now on. Give the names of the rules that are new."""
        known = self.loaded.alerts
        before = dict(self._patterns)
        self._patterns |= dict.fromkeys(patterns, interval)
        try:
            self.apply(self.read())
        except Exception:
            self._patterns = before
            raise
        return [name for name in self.loaded.alerts if name not in known]

    def go_on_from(self, before: "RuleFiles") -> None:
        """Take over what another manager has loaded; its rules are in the core already."""
        self._patterns, self.loaded = dict(before._patterns), before.loaded
        if self._record:
            self._core.record(self.loaded.recordings)

    def read(self) -> LoadedRules:
        """Read all files again, which touches nothing that is judged."""
        return read_rule_files(self._patterns)

    def apply(self, new: LoadedRules) -> None:
        """Have these rules judged in place of those from before: what has not changed goes on as it was.

        A RuleError, and nothing is changed, where one has the name of a rule that is of no file.
        """
        core, old = self._core, self.loaded
        with core.lock:
            present = core.rulebook.rules
            ours = {name for name in old.alerts if name in present and present[name].place is not None}
            changed = {name: rule for name, rule in new.alerts.items() if rule != old.alerts.get(name) or name not in ours}
            for name, rule in changed.items():
                if name in present and name not in ours:
                    where, expected = f"rule {name!r}", "give it another name"
                    raise RuleError(where, field="name", seen="a second rule of that name", expected=expected)
                core.rulebook.check(rule, core.registry.get_all_collectors())
            for name in ours - new.alerts.keys():
                core.remove_rule(name)
            for name, rule in changed.items():
                core.replace_rule(rule.enabled_as(present[name].enabled) if name in ours else rule)
            if self._record:
                core.record(new.recordings)
            elif new.recordings.keys() - old.recordings.keys():
                names = ", ".join(sorted({one.name for one in new.recordings.values()}))
                _logger.warning("left to whoever evaluates the expressions, who must have them as well: %s", names)
            self.loaded = new
