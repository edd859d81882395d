"""Which models a command audits, by what policy, and what becomes of their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normscope.cli.inputs import axes_from_text, inputs_from_text
from normscope.cli.options import CLEAN, FINDINGS
from normscope.cli.output import print_error, print_text
from normscope.errors import SpecError
from normscope.wording import counted

if TYPE_CHECKING:
    from normscope.audit import Audit
    from normscope.audit.configuration import Configuration, ModelToAudit
    from normscope.audit.policy import Policy


@dataclass(frozen=True)
class Runs:
    """The audits of one command.

    Attributes:
        models: to audit, each with what the configuration says of it.
        configuration: what holds for all of them.
        said: what the command line says, which comes first.
        baseline: the path of the baseline; None without one.
        verbose: the reports list, too, what looked like a normalization and is none.
        data: some that the models are meant for; None where none are given.
    """

    models: tuple[ModelToAudit, ...]
    configuration: Configuration
    said: Policy
    baseline: Path | None = None
    verbose: bool = False
    data: Any = None

    def audits(self, writing: bool = False) -> tuple[Audit, ...]:
        """The audits, one of each model.

        Args:
            writing: the baseline is written anew, so that none is read.
        """
        from normscope.audit.baseline import Baseline

        baseline = None
        if self.baseline is not None and not writing:
            if not self.baseline.exists():
                raise SpecError(
                    f"the baseline {self.baseline} is not there; --write-baseline makes it"
                )
            baseline = Baseline.read(self.baseline)
        return tuple(self._audit(model, baseline) for model in self.models)

    def _audit(self, asked: ModelToAudit, baseline: Any) -> Audit:
        from normscope.audit.audit import audited
        from normscope.progress import progress_bar

        texts = [*asked.shapes, *asked.inputs]
        general = self.configuration.policy
        if len(self.configuration.models) > 1:  # what one model does not need another may
            general = replace(general, shared=frozenset((*general.allowances, *general.tags)))
        policy = general.overridden(asked.policy).overridden(self.said)
        policy = replace(policy, baseline=baseline, label=label(asked.model)).checked()
        with progress_bar(after=2) as progress:
            return audited(
                model_of(asked.model),
                inputs_from_text(texts) if texts else None,
                policy,
                axes_from_text(asked.axes),
                model_of(asked.against) if asked.against else None,
                release=asked.release,
                backend=asked.backend,
                verbose=self.verbose,
                data=self.data,
                progress=progress,
            )

    def write_baseline(self, audits: Sequence[Audit]) -> None:
        """Write the baseline anew for these models; what it holds of others stays."""
        from normscope.audit.baseline import Baseline

        if self.baseline is None:
            raise SpecError("--write-baseline needs the file: --baseline normscope-baseline.json")
        found = Baseline(str(self.baseline))
        if self.baseline.exists():
            found = Baseline.read(self.baseline)
        for asked, audit in zip(self.models, audits, strict=True):
            found = found.with_model(label(asked.model), audit.entries)
        found.write()
        total = sum(len(audit.entries) for audit in audits)
        print_text(
            f"{self.baseline} holds {counted(total, 'finding')} of "
            f"{counted(len(audits), 'model')}; from now on only new ones fail"
        )

    def status(self, audits: Sequence[Audit], exit_zero: bool, fail_on: Any) -> int:
        """The exit status; allowances that no model needs are said."""
        rule = next(
            (
                rule
                for rule in self.configuration.policy.overridden(self.said).rules()
                if rule.code == "NS001"
            ),
            None,
        )
        left = []
        if rule is not None and len(audits) > 1:
            unused = frozenset.intersection(*(audit.unused for audit in audits))
            general = self.configuration.policy
            left = [one for one in (*general.allowances, *general.tags) if one in unused]
        for one in left:
            print_error(f"{one.where}: no model has use for what is said of {one.path}")
        worst = [finding.severity.rank for audit in audits for finding in audit.findings]
        worst += [rule.severity.rank for _ in left if rule is not None]
        fails = any(rank <= fail_on.rank for rank in worst)
        return FINDINGS if fails and not exit_zero else CLEAN


def label(model: str) -> str:
    """The name of a model in a baseline: without the folders of this machine.

    >>> label("export/net.onnx"), label("src/model.py:Net(b='a/c')")
    ('net.onnx', "model.py:Net(b='a/c')")
    """
    file, colon, expression = model.partition(":")
    return Path(file).name + colon + expression


def model_of(text: str) -> Any:
    """The path of a file as it is; else what the expression gives."""
    from normscope.frameworks.layer_expression import is_code, layer_from_expression

    return layer_from_expression(text) if is_code(text) else text


def models_to_audit(
    named: Sequence[str], said: ModelToAudit, configuration: Configuration
) -> tuple[ModelToAudit, ...]:
    """The models that are named, else those of the configuration.

    A model that is named, and that the configuration holds too, has what that says of it, where
    the command line does not.

    Raises:
        SpecError: there are none.
    """
    if not named and not configuration.models:
        there = f" in {configuration.path}" if configuration.path else ""
        raise SpecError(
            'name a model, as in normscope audit "model.py:Net()" --shape 4,3,32,32; or list '
            f'models under [tool.normscope]{there}, such as models = ["model.py:Net()"]'
        )
    known = {model.model: model for model in configuration.models}
    found = [known.get(name, replace(said, model=name)) for name in named]
    return tuple(_with(model, said) for model in (found or configuration.models))


def _with(model: ModelToAudit, said: ModelToAudit) -> ModelToAudit:
    given = bool(said.shapes or said.inputs)
    return replace(
        model,
        shapes=said.shapes if given else model.shapes,
        inputs=said.inputs if given else model.inputs,
        axes=said.axes or model.axes,
        against=said.against or model.against,
        release=said.release or model.release,
        backend=said.backend or model.backend,
    )
