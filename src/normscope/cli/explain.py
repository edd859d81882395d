"""`normscope explain`: what a normalization computes on an input."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from normscope.cli.arguments import shape_from_text, size_from_text
from normscope.cli.options import Output, ending
from normscope.cli.output import as_json, show, write
from normscope.errors import SpecError
from normscope.wording import quoted

ENDING = ending(
    'normscope explain "b [c]" --shape 2,3',
    'normscope explain "BatchNormalization(mode=1)" --shape 8,128,56,56 --axes "b c h w"',
    'normscope explain "b [s...] (g [c])" --size g=4 --shape 8,56,56,128',
    'normscope explain "torch.GroupNorm(32, 128)" --shape 8,128,56,56',
    'normscope explain "[b] c [s...]" --shape 8,64,56,56 --dtype float32',
    "normscope explain batch --shape any,56,56,128 --format svg -o batch.svg",
    status="0 explained, 2 it could not be read, or does not fit the shape",
)


class ExplainFormat(StrEnum):
    """The forms in which an explanation is printed."""

    TEXT = "text"
    JSON = "json"
    SVG = "svg"
    HTML = "html"
    LATEX = "latex"


def explain(
    layer: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN|LAYER",
            help='A pattern, whose brackets mark the axes that share statistics: "b \\[c]"; '
            'or a layer: "BatchNormalization(mode=1)", "torch.LayerNorm(128)", "batch".',
        ),
    ],
    shape: Annotated[
        str | None,
        typer.Option(
            help='Shape of the input, always needed: 8,128,56,56; "any" or -1 where it varies.'
        ),
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help='Names for the axes: "b c h w" (b samples, c channels).')
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Size of an axis inside parentheses: g=4.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Also say how normalize runs on such an array: float32.")
    ] = None,
    output_format: Annotated[ExplainFormat, typer.Option("--format")] = ExplainFormat.TEXT,
    output: Output = None,
) -> None:
    """Say what a normalization computes on an input: words, numbers, formula, picture."""
    from normscope.explain import explain as explain_layer
    from normscope.frameworks.text import from_text

    sizes = dict(size_from_text(text) for text in size or [])
    if shape is None:  # a fault in the text is said first: no shape would mend it
        from_text(layer, sizes, axes)
        raise SpecError(
            f"give the shape of the input: normscope explain {quoted(layer)} --shape 8,128,56,56"
        )
    explanation = explain_layer(layer, shape_from_text(shape), axes=axes, dtype=dtype, **sizes)
    match output_format:
        case ExplainFormat.TEXT:
            from normscope.explain.reports.text import plain_text, rich_text

            show(rich_text, plain_text, explanation, output)
        case ExplainFormat.JSON:
            write(as_json(explanation.to_dict()), output)
        case ExplainFormat.SVG:
            write(explanation.svg, output)
        case ExplainFormat.HTML:
            write(explanation.to_html(), output)
        case ExplainFormat.LATEX:
            write(explanation.formula, output)
