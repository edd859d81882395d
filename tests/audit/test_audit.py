"""`audit` and its result: what is public, in every order of imports, and the facts as JSON."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from keras1_models import dense, norm, sequential, write_h5
from normscope import audit

ROOT = Path(__file__).parents[2]
SEED = ROOT / "examples" / "seed_network_full_th.json"


@pytest.mark.parametrize(
    "statements",
    [
        "import normscope; normscope.audit({path!r})",
        "from normscope import audit; audit({path!r})",
        "from normscope.audit import audit, Audit, Finding, Severity, all_rules; audit({path!r})",
        "from normscope.audit.audit import audit; audit({path!r})",
        "import normscope.audit.audit; from normscope.audit import audit; audit({path!r})",
        "import normscope.audit.result; import normscope; normscope.audit({path!r})",
        "from normscope.audit.reports.text import plain_text; from normscope import audit; "
        "plain_text(audit({path!r}))",
        "from normscope.audit.readers.registry import read_graph; "
        "from normscope.audit import audit; audit({path!r})",
    ],
)
def test_the_function_is_found_in_every_order_of_imports(statements: str) -> None:
    code = statements.format(path=str(SEED)) + "; print('done')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("done\n", 0), run.stderr


def test_reports_are_loaded_when_they_are_asked_for() -> None:
    code = (
        f"import sys; from normscope import audit; a = audit({str(SEED)!r}); "
        "said = lambda: sorted(m for m in sys.modules if m.startswith('normscope.audit.reports.'));"
        "print(said()); str(a); print('normscope.audit.reports.text' in said())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\nTrue\n"


def test_what_is_said_of_the_model(tmp_path: Path) -> None:
    report = audit(SEED)
    why = "the layers of a Keras 1 file are read, and its operators are not followed"
    unknown = {"verdict": "unknown", "through": None, "why": why}
    assert report.to_dict()["model"] == {
        "name": "model_1",
        "format": "json",
        "framework": "keras1",
        "details": {
            "file": "seed_network_full_th.json",
            "release": "1.2.2",
            "backend": None,
            "assumed": list(report.graph.assumed),
        },
        "samples": {"training": unknown, "inference": unknown},
    }
    model = sequential((None, 5), dense(), norm())
    path = write_h5(tmp_path / "m.h5", model, {"dense_1": []}, "")
    details = audit(path, release="1.0.5", backend="theano").to_dict()["model"]["details"]
    assert (details["release"], details["backend"]) == ("1.0.5", "theano")
    assert json.loads(json.dumps(details)) == details


def test_a_result_can_be_sent_to_another_process() -> None:
    report = audit(SEED)
    assert str(pickle.loads(pickle.dumps(report))) == str(report)
