"""A linter for models: every normalization of a model, and what is wrong with it."""

from normscope.audit.audit import audit
from normscope.audit.catalogue import all_rules, find_rule
from normscope.audit.finding import Finding, Severity
from normscope.audit.result import Audit
from normscope.audit.rule import Intent

__all__ = ["Audit", "Finding", "Intent", "Severity", "all_rules", "audit", "find_rule"]
