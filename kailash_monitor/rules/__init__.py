"""Rules: what must not be so, as values."""

from kailash_monitor.rules.answer import readings_of
from kailash_monitor.rules.breach import UNPROVEN, Unproven, breached
from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.burn_rate import burn_rate_rules
from kailash_monitor.rules.condition import Condition
from kailash_monitor.rules.defaults import create_default_alert_rules
from kailash_monitor.rules.flapping import Flapping
from kailash_monitor.rules.host_rules import create_host_alert_rules
from kailash_monitor.rules.level import Level
from kailash_monitor.rules.no_data import NoData
from kailash_monitor.rules.reader import Reader, Source, check_fits, read
from kailash_monitor.rules.reading import Answer, Empty, Failed, Missing, Reading, ReadingFunction, Value, Waiting, Words
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.rule_query import RuleQuery
from kailash_monitor.rules.survey import Chunk

__all__ = [
    "UNPROVEN",
    "AlertRule",
    "Answer",
    "BurnRate",
    "Chunk",
    "Condition",
    "Empty",
    "Failed",
    "Flapping",
    "Level",
    "Missing",
    "NoData",
    "Reader",
    "Reading",
    "ReadingFunction",
    "RuleQuery",
    "Source",
    "Unproven",
    "Value",
    "Waiting",
    "Words",
    "breached",
    "burn_rate_rules",
    "check_fits",
    "create_default_alert_rules",
    "create_host_alert_rules",
    "read",
    "readings_of",
]
