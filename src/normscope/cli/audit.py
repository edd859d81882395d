"""`normscope audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from normscope.cli.inputs import axes_from_text, inputs_from_text
from normscope.cli.options import (
    CLEAN,
    FINDINGS,
    AxesOption,
    InputsOption,
    Origin,
    Output,
    ShapesOption,
    ending,
)
from normscope.cli.output import as_json, show, write

ENDING = ending(
    'normscope audit "model.py:Net()" --shape 4,3,224,224',
    'normscope audit model.py:net --input "ids=2,16:int64<1000" --input mask=2,16:bool',
    "normscope audit model.onnx",
    "normscope audit model.h5 --format html -o report.html",
    'normscope audit "ported.py:net" --against original.keras',
    "normscope audit model.json --release 1.0.5 --backend theano --ignore NS401",
    status="0 no findings, 1 there are findings, 2 it could not be read or used",
)


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
    model: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FILE.py:EXPRESSION",
            help='A model file; or a model or function, whose expression is run: "model.py:Net()", '
            '"package.module:net".',
        ),
    ],
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
    output_format: Annotated[AuditFormat, typer.Option("--format")] = AuditFormat.TEXT,
    output: Output = None,
    independent: Annotated[
        list[str] | None,
        typer.Option(help='What must stay apart along an axis: b, "b h w", b@inference.'),
    ] = None,
    causal: Annotated[
        list[str] | None, typer.Option(help="No step of this axis may see a later one: t.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only these rules: a code, a name or a family (NS1).")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
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
    from normscope.audit import audit as audit_model
    from normscope.progress import progress_bar

    texts = [*(shape or []), *(inputs or [])]
    given = inputs_from_text(texts) if texts else None
    with progress_bar(after=2) as progress:
        report = audit_model(
            _model(model),
            given,
            axes=axes_from_text(axes or []),
            independent=independent,
            causal=causal,
            against=against and _model(against),
            select=select or (),
            ignore=ignore or (),
            release=release,
            backend=backend,
            verbose=verbose,
            progress=progress,
        )
    match output_format:
        case AuditFormat.TEXT:
            from normscope.audit.reports.text import plain_text, rich_text

            show(rich_text, plain_text, report, output)
        case AuditFormat.JSON:
            write(as_json(report.to_dict()), output)
        case AuditFormat.HTML:
            write(report.to_html(), output)
        case AuditFormat.SARIF:
            write(as_json(report.to_sarif()), output)
        case AuditFormat.JUNIT:
            write(report.to_junit(), output)
    raise typer.Exit(FINDINGS if report.findings else CLEAN)


def _model(text: str) -> Any:
    """The path of a file as it is; else what the expression gives."""
    from normscope.frameworks.layer_expression import is_code, layer_from_expression

    return layer_from_expression(text) if is_code(text) else text
