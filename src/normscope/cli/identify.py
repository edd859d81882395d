"""`normscope identify`: what a layer computes, found out by calling it."""

from __future__ import annotations

from typing import Annotated

import typer

from normscope.cli.arguments import known_shape_from_text
from normscope.cli.inputs import further_inputs
from normscope.cli.options import CLEAN, FINDINGS, Output, ShowOption, TextOrJson, ending
from normscope.cli.output import as_json, write

ENDING = ending(
    'normscope identify "torch.nn:GroupNorm(32, 128)" --shape 4,128,7,7',
    'normscope identify "keras.layers:LayerNormalization(axis=1)" --shape 4,6,5,7',
    'normscope identify "my_package.layers:MyNorm()" --shape 8,32 --axes "b c"',
    'normscope identify "model.py:Masked()" --shape 8,32 --input mask=8,32:bool',
    "normscope identify layer.onnx --shape 8,32",
    status="0 identified, 1 not a normalization or unknown, 2 could not be read or used",
)


def identify(
    layer: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:EXPRESSION|FILE.onnx",
            help='A layer or function, whose expression is run: "torch.nn:GroupNorm(32, 128)", '
            '"model.py:Net()"; or an ONNX file.',
        ),
    ],
    shape: Annotated[str, typer.Option(help="Shape of the input: 4,128,7,7.")],
    axes: Annotated[str | None, typer.Option(help='Names for the axes: "b c h w".')] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", help="A further input, held fixed: shape, dtype, bound, name=..., or x.npy."
        ),
    ] = None,
    show: ShowOption = None,
    output_format: Annotated[TextOrJson, typer.Option("--format")] = TextOrJson.TEXT,
    output: Output = None,
) -> None:
    """Find out from outside what a layer computes: it is called, not believed."""
    from normscope.frameworks.layer_expression import layer_from_expression
    from normscope.identify import identify as identify_layer

    known = known_shape_from_text(shape)
    others, named = further_inputs(inputs or [])
    found = identify_layer(
        layer_from_expression(layer),
        known,
        axes=axes,
        others=others,
        inputs=named,
        show=show and show.value,
    )
    write(as_json(found.to_dict()) if output_format is TextOrJson.JSON else str(found), output)
    raise typer.Exit(CLEAN if found.kind == "normalization" else FINDINGS)
