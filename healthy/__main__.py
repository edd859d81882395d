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
from collections.abc import Iterator, Sequence
from pathlib import Path

import normscope as ns
from healthy import flax_models, keras_applications, language, vision
from normscope.audit import Audit

REASONS = Path(__file__).with_name("warnings.json")
SOURCES = (vision, language, keras_applications, flax_models)


def main(words: Sequence[str]) -> int:
    """Audit the models; the exit status is 1 if something is said without a reason."""
    reasons = json.loads(REASONS.read_text(encoding="utf-8"))
    number, failed, used = 0, 0, set()
    for source in SOURCES:
        for name, make in source.models():
            if words and not any(word in name for word in words):
                continue
            number += 1
            model, inputs = make()
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the frameworks
                audit = ns.audit(model, inputs)
            seconds = time.perf_counter() - began
            print(f"{name}: {len(audit.layers)} sites, {seconds:.1f} s, {_said(audit)}", flush=True)
            for line, code in _without_reason(name, audit, reasons):
                failed += 1
                print(f"  {line}", flush=True)
            used |= {code for code, _ in Counter((f.code, f.severity) for f in audit.findings)}
    stale = set() if words else set(reasons) - used
    print(
        f"{number} models; {failed} findings without a reason" + f"; stale: {stale}" * bool(stale)
    )
    return int(bool(failed or stale))


def _said(audit: Audit) -> str:
    counts = Counter((finding.code, str(finding.severity)) for finding in audit.findings)
    return (
        ", ".join(f"{code} {kind} x {n}" for (code, kind), n in sorted(counts.items())) or "clean"
    )


def _without_reason(
    name: str, audit: Audit, reasons: dict[str, dict[str, str]]
) -> Iterator[tuple[str, str]]:
    """Findings that are errors, or warnings for which no reason is written."""
    for finding in audit.findings:
        given = reasons.get(finding.code, {})
        allowed = any(model in name for model in given)
        if finding.severity == "error" or (finding.severity == "warning" and not allowed):
            said = f"{finding.code} {finding.severity} at {finding.path}: {finding.message}"
            yield said, finding.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
