"""`normscope convert`: a Keras 1 model as a `.keras` file of Keras 3."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from normscope.cli.arguments import arrays_from_file
from normscope.cli.options import CLEAN, FINDINGS, Origin, Output, ending
from normscope.cli.output import write
from normscope.errors import SpecError

ENDING = ending(
    "normscope convert old.h5 new.keras",
    "normscope convert old.h5 new.keras --force",
    "normscope convert model.json weights.h5 new.keras",
    "normscope convert old.h5 new.keras --backend theano --dim-ordering th",
    "normscope convert old.h5 new.keras --release 1.0.5",
    "normscope convert old.h5 new.keras --data inputs.npy",
    "KERAS_BACKEND=torch normscope convert old.h5 new.keras",
    status="0 done, 1 done with differences or assumptions, 2 could not be read or used",
)


class Ordering(StrEnum):
    """The orders of the axes of an image: channels last (tf) or first (th)."""

    TF = "tf"
    TH = "th"


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="OLD", help="A file of Keras 1: of model.save, or JSON of model.to_json."
        ),
    ],
    others: Annotated[
        list[Path],
        typer.Argument(
            metavar="[WEIGHTS.h5] NEW.keras",
            help="The weights (model.save_weights) if OLD has none, and the file to write.",
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    backend: Annotated[
        Origin | None,
        typer.Option(help="What wrote the file, where its weights do not tell it."),
    ] = None,
    dim_ordering: Annotated[
        Ordering | None,
        typer.Option(help="Channels first (th) or last (tf), where the file does not tell it."),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(help="The release of Keras 1, where the file does not tell it: 1.0.5."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Inputs like those of the training (.npy, or .npz for several inputs): they tell "
            "whether running_std holds variances or, as before Keras 1.0.7, deviations."
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Turn a Keras 1 model into a .keras file of Keras 3, and check the result layer by layer.

    Only data is read; no code in the file is run.
    """
    from normscope.keras1.convert import convert as convert_model
    from normscope.progress import progress_bar

    if len(others) > 2:
        raise SpecError(
            f"convert takes OLD.h5 NEW.keras, or MODEL.json WEIGHTS.h5 NEW.keras; "
            f"these are {1 + len(others)} files"
        )
    *weights, target = others
    inputs = None if data is None else arrays_from_file(data)
    with progress_bar() as progress:
        report = convert_model(
            source,
            target,
            weights=weights[0] if weights else None,
            force=force,
            backend=backend,
            dim_ordering=dim_ordering,
            release=release,
            data=inputs,
            progress=progress,
        )
    write(str(report), output)
    raise typer.Exit(FINDINGS if report.differs else CLEAN)
