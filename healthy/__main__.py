"""Audit forty healthy models with all rules, and hold what is said against `warnings.json`.

python -m healthy           audit all; fail on an error, or on a warning without a reason
python -m healthy WORD ...  only the models in whose names one of these words is
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import normscope as ns
from healthy import flax_models, keras_applications, language, vision
from normscope.audit import Audit
from normscope.audit.finding import Severity

REASONS = Path(__file__).with_name("warnings.json")
SOURCES = (vision, language, keras_applications, flax_models)


Reasons = dict[str, dict[str, str]]
"""By the code of a rule: a word in the names of models, and why they deserve the warning."""


def main(words: Sequence[str]) -> int:
    """Audit the models; the exit status is 1 if something is said without a reason."""
    reasons: Reasons = json.loads(REASONS.read_text(encoding="utf-8"))
    number, failed = 0, 0
    used: set[tuple[str, str]] = set()
    for source in SOURCES:
        for name, make in source.models():
            if words and not any(word in name for word in words):
                continue
            number += 1
            audit, seconds = _audited(*make())
            print(f"{name}: {len(audit.layers)} sites, {seconds:.1f} s, {_said(audit)}", flush=True)
            for finding in audit.findings:
                given = [word for word in reasons.get(finding.code, {}) if word in name]
                used |= {(finding.code, word) for word in given}
                warns = finding.severity is Severity.WARNING and not given
                if warns or finding.severity is Severity.ERROR:
                    failed += 1
                    place = f"{finding.code} {finding.severity} at {finding.path}"
                    print(f"  {place}: {finding.message}", flush=True)
    listed = {(code, word) for code, given in reasons.items() for word in given}
    stale = sorted(listed - used) if not words else []
    for code, word in stale:
        print(f"no longer said: {code} of {word}")
    print(f"{number} models, {failed} findings without a reason")
    return int(bool(failed or stale))


def _audited(model: Any, inputs: Any) -> tuple[Audit, float]:
    """The audit, and how long it took."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the frameworks
        audit = ns.audit(model, inputs)
    return audit, time.perf_counter() - began


def _said(audit: Audit) -> str:
    counts = Counter(f"{finding.code} {finding.severity}" for finding in audit.findings)
    return ", ".join(f"{what} x {times}" for what, times in sorted(counts.items())) or "clean"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
