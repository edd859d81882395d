"""`Rule`: one thing that can be wrong with a normalization, and how to see it.

A rule is one file in `rules/`. The docstring of that file is its documentation: the page on the
web, `normscope rules CODE`, the help text in reports.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import wraps
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site


class Symptom(StrEnum):
    """What a user sees, who does not yet know the cause; the index of the rules is sorted by it."""

    EVALUATION = "Training is fine, evaluation or inference is not"
    CONSTANT = "The output is constant, or the input hardly matters"
    NAN = "NaN, infinite or huge numbers appear"
    PORT = "A ported or converted model gives other numbers"
    BATCH = "The prediction for one sample changes with the others in its batch"
    FROZEN = "Something that should be fixed moves, or something that should learn does not"
    PRECISION = "Half precision is worse than float32"
    LEARNING = "Training is unstable, slow, or stops short"
    SIZE = "Results change with the size of the image, the length, or the padding"
    STREAMING = "Streaming or caching gives other results than the whole sequence"
    DEPLOYMENT = "The exported file is slower, larger or computes something else"
    PARAMETERS = "There are parameters that do nothing"
    FINETUNING = "A loaded or fine-tuned model is worse than the original"


class Intent(StrEnum):
    """What a user says is meant so; rules that would accuse it of being a mistake are silent."""

    TRANSDUCTIVE = "transductive"  # the samples of a batch are meant to see each other
    TEST_TIME_ADAPTATION = "test-time-adaptation"  # batch statistics at inference
    RE_ESTIMATION = "re-estimation"  # statistics are taken anew while parameters are frozen
    TRAIN_MODE_TEACHER = "train-mode-teacher"  # a teacher that is called in training mode
    PER_POSITION = "per-position"  # statistics per frequency, time step or token
    ZERO_INIT = "zero-init"  # a scale that begins at zero


Told = TypeVar("Told")


def once_per_model(tell: Callable[[ModelGraph], Told]) -> Callable[[ModelGraph], Told]:
    """A function that looks at all sites of a model once, and not again at each of them."""
    known: WeakKeyDictionary[ModelGraph, Told] = WeakKeyDictionary()

    @wraps(tell)
    def told(graph: ModelGraph) -> Told:
        if graph not in known:
            known[graph] = tell(graph)
        return known[graph]

    return told


class Rule(ABC):
    """Base class of the rules. A rule is named after the bad pattern, so "allow NAME" reads well.

    Attributes:
        code: the family and a number, never used again. Families: NS1 axes and statistics sets,
            NS2 numerics, NS3 running statistics and modes, NS4 parameters, NS5 porting, NS6
            structure, NS7 coupling, NS8 export, NS9 inputs.
        name, severity: of its findings. An error is a wrong result or a broken promise; a warning
            is most likely not meant; an info could be better.
        since: the release of normscope that has it first.
        symptoms: what a user sees who has it.
        intents: what a user can say is meant, at a layer, so that the rule is silent there.
        default: whether it is applied where no rules are selected; most models need it.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    since: ClassVar[str]
    symptoms: ClassVar[tuple[Symptom, ...]] = ()
    intents: ClassVar[tuple[Intent, ...]] = ()
    default: ClassVar[bool] = True

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        """The findings at one site."""
        yield from ()

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        """The findings about the model as a whole, or about layers that are no sites."""
        yield from ()

    def finding(
        self,
        site: Site | str,
        message: str,
        *,
        fix: str,
        evidence: dict[str, Any],
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule, at a site or at the path of a layer; "" is the model itself."""
        path = site if isinstance(site, str) else site.path
        return Finding(
            self.code, self.name, severity or self.severity, path, message, fix, evidence
        )

    @property
    def documentation(self) -> str:
        """The docstring of the rule's file."""
        return inspect.getdoc(sys.modules[type(self).__module__]) or ""

    @property
    def summary(self) -> str:
        """The first line of the documentation, without code and name."""
        return self.documentation.splitlines()[0].split(":", 1)[1].strip()
