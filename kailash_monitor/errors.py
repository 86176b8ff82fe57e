"""Every exception this toolkit raises, by who must act.

    MonitoringError
    ├── ConfigurationError (ValueError)   a definition of yours is wrong: the text says what was seen and what is right
    │   ├── MetricError                   … of a metric, a label or a collector
    │   ├── RuleError                     … of a rule
    │   └── ChannelError                  … of a notification channel
    ├── InvalidFile (ValueError)          a configuration file has problems; the text lists them all, with their lines
    ├── ParseError (ValueError)           a PromQL expression cannot be read; the text points at the place (in `promql`)
    ├── EvaluationError (ValueError)      a PromQL expression has no value with the data there is (in `promql`)
    ├── TemplateError (ValueError)        a label or annotation template cannot be read or expanded (in `rules.templates`)
    ├── ValueRefused (ValueError)         a recorded value cannot be counted (only raised where `strict=True`)
    ├── NoAnswer                          the callback of a gauge raised, or has not answered for too long
    ├── QueryError                        the server that evaluates expressions is away, overloaded, or refuses to answer
    ├── LifecycleError (RuntimeError)     start, stop or run called where it cannot work
    ├── CannotListen (OSError)            the address to serve on is taken, not permitted or not of this machine
    ├── StoreError                        what must survive a restart cannot be kept: the disk failed, or …
    │   ├── StoreLocked                   … another program uses the store: stop it, or give each a store of its own
    │   ├── StoreDamaged                  … its file is no database, or a broken one: move it away, or restore it
    │   ├── StoreTooNew                   … a newer version of this toolkit wrote it: install that
    │   ├── StoreForeign                  … it is a database of another program: name another file
    │   ├── StoreNotWritable              … its folder is not there, or permissions do not allow it
    │   ├── StoreFull                     … there is no room left on the disk
    │   └── StoreGone                     … it is not open, or was removed or replaced meanwhile: opening it again helps
    └── MissingExtra (ImportError)        an optional dependency is not installed

They are raised where a definition is made. A bad value, a broken rule, a failing channel or store never raises into the
program: it is counted and logged.
"""

__all__ = [
    "CannotListen",
    "ChannelError",
    "ConfigurationError",
    "InvalidFile",
    "LifecycleError",
    "MetricError",
    "MissingExtra",
    "MonitoringError",
    "NoAnswer",
    "QueryError",
    "RuleError",
    "StoreDamaged",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreGone",
    "StoreLocked",
    "StoreNotWritable",
    "StoreTooNew",
    "ValueRefused",
]


class MonitoringError(Exception):
    """Root of all exceptions of this toolkit."""


class ConfigurationError(MonitoringError, ValueError):
    """A definition is wrong.

    Takes facts and words its own message: `where` it stands, what was `seen`, what was `expected`, and, for a caller
    that can point at it, the `field` of the definition that is at fault.
    """

    def __init__(self, where: str, *, seen: str, expected: str, field: str | None = None) -> None:
        self.where = where
        self.seen = seen
        self.expected = expected
        self.field = field
        super().__init__(f"{where}: {seen}; {expected}")


class MetricError(ConfigurationError):
    """A metric, a label or a collector is defined wrongly."""


class RuleError(ConfigurationError):
    """A rule is defined wrongly, or collides with another."""


class ChannelError(ConfigurationError):
    """A notification channel is defined wrongly, or shares its name with another."""


class InvalidFile(MonitoringError, ValueError):
    """A configuration file cannot be used. `problems` are lines of their own: `monitor.yaml:12: rules[0].severity: …`."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ValueRefused(MonitoringError, ValueError):
    """A value cannot be recorded: not a finite number, or a negative increment."""


class NoAnswer(MonitoringError):
    """A callback gauge has no value to read: its function raised, or has not answered for too long; the text says which."""


class QueryError(MonitoringError):
    """A server that evaluates expressions gives no answer that can be used, for no fault of the expression.

    Takes facts and words its own message: `where` the server is, and what was `seen`.
    """

    def __init__(self, where: str, *, seen: str) -> None:
        self.where = where
        self.seen = seen
        super().__init__(f"{where}: {seen}")


class LifecycleError(MonitoringError, RuntimeError):
    """start, stop or run was called where it cannot work; the text says what to call instead."""


class CannotListen(MonitoringError, OSError):
    """The address to serve on cannot be had; the text says why and what to do."""


class StoreError(MonitoringError):
    """A store cannot be opened, read or written.

    Takes facts and words its own message: `where` the store is, what was `seen`, and the `remedy`.
    """

    def __init__(self, where: str, *, seen: str, remedy: str) -> None:
        self.where = where
        self.seen = seen
        self.remedy = remedy
        super().__init__(f"{where}: {seen}; {remedy}")


class StoreLocked(StoreError):
    """Another program, or another store of this one, uses it."""


class StoreDamaged(StoreError):
    """It is no database, or a broken one. It was left as it is."""


class StoreTooNew(StoreError):
    """A newer version of this toolkit wrote it. It was left as it is."""


class StoreForeign(StoreError):
    """It is a database of another program. It was left as it is."""


class StoreNotWritable(StoreError):
    """Its folder is not there, or permissions do not allow to write."""


class StoreFull(StoreError):
    """There is no room left on the disk."""


class StoreGone(StoreError):
    """It is not open, or its file was removed or replaced while it was."""


class MissingExtra(MonitoringError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, *, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs {package}: pip install 'kailash-monitor[{extra}]'")
