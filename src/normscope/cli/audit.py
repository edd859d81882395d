"""`normscope audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normscope.cli.audit_runs import Runs, models_to_audit
from normscope.cli.inputs import data_from_text
from normscope.cli.options import (
    CLEAN,
    UNUSABLE,
    AxesOption,
    InputsOption,
    Origin,
    Output,
    ShapesOption,
    ending,
)
from normscope.cli.output import as_json, show, write
from normscope.errors import SpecError
from normscope.notation.values import shown
from normscope.wording import listed

if TYPE_CHECKING:
    from normscope.audit import Audit

ENDING = ending(
    'normscope audit "model.py:Net()" --shape 4,3,224,224',
    'normscope audit model.py:net --input "ids=2,16:int64<1000" --input mask=2,16:bool',
    "normscope audit model.onnx",
    "normscope audit model.h5 --format html -o report.html",
    'normscope audit "ported.py:net" --against original.keras',
    "normscope audit model.json --release 1.0.5 --backend theano --ignore NS401",
    "normscope audit model.onnx --independent b --baseline known.json",
    status="0 no findings, 1 there are findings, 2 it could not be read or used",
)


class FailOn(StrEnum):
    """The severities that can fail an audit, with all that are worse."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class AuditFormat(StrEnum):
    """The forms in which an audit is printed."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    SARIF = "sarif"
    JUNIT = "junit"


def _print_schema(wanted: bool) -> None:
    """Print the JSON schema of reports, and end."""
    if wanted:
        from normscope.audit.result import audit_schema

        write(as_json(audit_schema()), None)
        raise typer.Exit(CLEAN)


def audit(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|FILE.py:EXPRESSION",
            help='Model files; or models or functions, whose expression is run: "model.py:Net()", '
            '"package.module:net". Without any, those under \\[tool.normscope] in pyproject.toml.',
        ),
    ] = None,
    shape: ShapesOption = None,
    inputs: InputsOption = None,
    axes: AxesOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FILE.py:EXPRESSION",
            help="What it is compared with: a model, or a file, also one of weights alone.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.npy",
            help="Some of the data that it is meant for; its stored statistics are compared with "
            "what each place is given.",
        ),
    ] = None,
    output_format: Annotated[AuditFormat, typer.Option("--format")] = AuditFormat.TEXT,
    output: Output = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT:FILE",
            help="Another report of the same run, in a file: sarif:findings.sarif. Repeatable.",
        ),
    ] = None,
    independent: Annotated[
        list[str] | None,
        typer.Option(help='What must stay apart along an axis: b, "b h w", b@inference.'),
    ] = None,
    causal: Annotated[
        list[str] | None, typer.Option(help="No step of this axis may see a later one: t.")
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(help="Only these rules: codes, names or families (NS1 or axes)."),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="A file of known findings; only others fail.")
    ] = None,
    write_baseline: Annotated[
        bool, typer.Option("--write-baseline", help="Write that file: what is found is known.")
    ] = False,
    exit_zero: Annotated[
        bool | None,
        typer.Option("--exit-zero/--no-exit-zero", help="Findings do not fail."),
    ] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="The least severity that fails: all, if not said.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The pyproject.toml; else the nearest one upward.")
    ] = None,
    no_config: Annotated[bool, typer.Option("--no-config", help="Read no pyproject.toml.")] = False,
    release: Annotated[
        str | None,
        typer.Option(help="The release of Keras 1, where the file does not tell it: 1.0.5."),
    ] = None,
    backend: Annotated[
        Origin | None, typer.Option(help="What wrote the file, where it does not tell it.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Also list what looked like a normalization and is none."),
    ] = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema", callback=_print_schema, is_eager=True, help="Print the schema of the JSON."
        ),
    ] = False,
) -> None:
    """Find every normalization of a model, by what it computes, and what is wrong with it.

    Of a file only data is read; no code in it is run.
    """
    from normscope.audit.configuration import (
        Configuration,
        ModelToAudit,
        nearest_configuration,
        policy_of,
        read_configuration,
    )
    from normscope.audit.finding import Severity

    if config is not None and no_config:
        raise SpecError("--config and --no-config exclude each other")
    if no_config:
        found = Configuration()
    else:
        found = nearest_configuration(".") if config is None else read_configuration(config)
    if not models and not found.path and not any(context.params[name] for name in _ABOUT):
        context.get_help()  # which prints it, where its text is rich
        raise typer.Exit(UNUSABLE)
    said = ModelToAudit(
        "",
        tuple(shape or ()),
        tuple(inputs or ()),
        tuple(axes or ()),
        against,
        release,
        None if backend is None else backend.value,
    )
    runs = Runs(
        models_to_audit(models or [], said, found),
        found,
        policy_of(select or (), ignore or (), independent, causal),
        baseline or (None if found.baseline is None else Path(found.baseline)),
        verbose,
        data_from_text(data or ()),
    )
    reports = [(output_format, output), *map(_also, also or ())]
    for form, _ in reports:
        if len(runs.models) > 1 and form not in _OF_SEVERAL:
            raise SpecError(
                f"{form} is the report of one model, and there are {len(runs.models)}: name one, "
                f"or write {listed(_OF_SEVERAL, 'or')}"
            )
    audits = runs.audits(write_baseline)
    if write_baseline:
        runs.write_baseline(audits)
        raise typer.Exit(CLEAN)
    for form, file in reports:
        _report(audits, form, file)
    zero = found.exit_zero if exit_zero is None else exit_zero
    least = found.fail_on if fail_on is None else Severity(fail_on.value)
    raise typer.Exit(runs.status(audits, zero, least))


_ABOUT = ("shape", "inputs", "against")
"""Options that are about a model, so that one was to be named."""

_OF_SEVERAL = (AuditFormat.TEXT, AuditFormat.SARIF, AuditFormat.JUNIT)
"""The forms in which one report can be about several models."""


def _also(said: str) -> tuple[AuditFormat, Path]:
    """The form and the file of a further report.

    Raises:
        SpecError: it is not a form and a file.
    """
    form, _, file = said.partition(":")
    if form not in list(AuditFormat) or not file:
        raise SpecError(
            f"--also {shown(said)} is not a form and a file; the forms are "
            f"{listed(list(AuditFormat))}: sarif:findings.sarif"
        )
    return AuditFormat(form), Path(file)


def _report(audits: Sequence[Audit], output_format: AuditFormat, output: Path | None) -> None:
    """Print the audits, or write them to a file."""
    report = audits[0]
    match output_format:
        case AuditFormat.TEXT:
            from normscope.audit.reports.text import plain_text, rich_text

            if len(audits) == 1:
                show(rich_text, plain_text, report, output)
            else:
                write("\n\n\n".join(map(plain_text, audits)), output)
        case AuditFormat.JSON:
            write(as_json(report.to_dict()), output)
        case AuditFormat.HTML:
            write(report.to_html(), output)
        case AuditFormat.SARIF:
            logs = [audit.to_sarif() for audit in audits]
            write(
                as_json({**logs[0], "runs": [run for log in logs for run in log["runs"]]}), output
            )
        case AuditFormat.JUNIT:
            from normscope.audit.reports.junit import as_junit

            write(as_junit(audits), output)
