"""`normscope audit`: every normalization in a model file, and what is wrong with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from normscope.cli.options import CLEAN, FINDINGS, Origin, Output, ending
from normscope.cli.output import as_json, show, write

ENDING = ending(
    "normscope audit model.h5",
    "normscope audit model.json --format html -o report.html",
    "normscope audit model.h5 --ignore NS401 --format json",
    "normscope audit model.json --release 1.0.5 --backend theano",
    status="0 no findings, 1 there are findings, 2 the file could not be read",
)


class AuditFormat(StrEnum):
    """The forms in which an audit is printed."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    SARIF = "sarif"


def audit(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A Keras 1 model: .h5 (model.save) or .json (model.to_json)."
        ),
    ],
    output_format: Annotated[AuditFormat, typer.Option("--format")] = AuditFormat.TEXT,
    output: Output = None,
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
) -> None:
    """Find every normalization in a model file, and what is wrong with it.

    Only data is read; no code in the file is run.
    """
    from normscope.audit import audit as audit_model

    report = audit_model(
        path, select=select or (), ignore=ignore or (), release=release, backend=backend
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
    raise typer.Exit(FINDINGS if report.findings else CLEAN)
