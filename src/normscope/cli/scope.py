"""`normscope scope`: whether samples see each other in a model."""

from __future__ import annotations

from typing import Annotated

import typer

from normscope.cli.inputs import axes_from_text, inputs_from_text
from normscope.cli.options import (
    CLEAN,
    FINDINGS,
    AxesOption,
    InputsOption,
    Output,
    ShapesOption,
    ShowOption,
    TextOrJson,
    ending,
)
from normscope.cli.output import as_json, write

ENDING = ending(
    'normscope scope "model.py:Net()" --shape 4,3,32,32 --axes "b c h w"',
    'normscope scope model.py:net --input "ids=2,16:int64<1000" --input mask=2,16:bool',
    "normscope scope model.py:net --input x.npy --format json",
    "normscope scope model.onnx --shape 4,3,32,32",
    status="0 no sample sees another at inference, 1 one does or it is not known, "
    "2 could not be read or used",
)


def scope(
    model: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:EXPRESSION|FILE",
            help='A model or function, whose expression is run: "model.py:Net()", '
            '"package.module:net"; or a file of a model: .onnx, .pt2, .keras, .h5, .json.',
        ),
    ],
    shape: ShapesOption = None,
    inputs: InputsOption = None,
    axes: AxesOption = None,
    show: ShowOption = None,
    all_axes: Annotated[
        bool, typer.Option("--all-axes", help="Say of every axis how the outputs depend on it.")
    ] = False,
    output_format: Annotated[TextOrJson, typer.Option("--format")] = TextOrJson.TEXT,
    output: Output = None,
) -> None:
    """Find out whether samples see each other in a model: proved on its operators, or by calls."""
    from normscope.frameworks.layer_expression import layer_from_expression
    from normscope.progress import progress_bar
    from normscope.scope import scope as scope_model

    given = inputs_from_text([*(shape or []), *(inputs or [])])
    with progress_bar(after=2) as progress:
        found = scope_model(
            layer_from_expression(model),
            given,
            axes=axes_from_text(axes or []),
            show=show and show.value,
            all_axes=all_axes,
            progress=progress,
        )
    write(as_json(found.to_dict()) if output_format is TextOrJson.JSON else str(found), output)
    raise typer.Exit(CLEAN if found.samples_independent["inference"] else FINDINGS)
