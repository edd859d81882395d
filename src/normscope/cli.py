"""The command line: arguments in, text and an exit status out; no logic."""

from __future__ import annotations

import re
import sys
import traceback
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from normscope.errors import NormscopeError, SpecError, printable
from normscope.notation.shape import MAX_LENGTH
from normscope.output import as_json, discard_output, print_error, print_text, show, write
from normscope.streams import prepare_streams
from normscope.version import __version__
from normscope.wording import counted

CLEAN, FINDINGS, UNUSABLE = 0, 1, 2

_OPEN = ("any", "none", "?", "b", "n", "-1")
"""What people write for a length that varies."""

app = typer.Typer(
    name="normscope",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What exactly is normalized here? Explains any normalization, and audits model files.",
    epilog="Exit status: 0 clean, 1 there are findings, 2 the input could not be read or used; "
    "the help of a command says what that means there.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_text(f"normscope {__version__}")
        raise typer.Exit(CLEAN)


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What can be asked of the command as a whole."""


def _ending(*examples: str, status: str) -> str:
    """The end of a command's help: examples, and what its exit status means."""
    shown = [example.replace("[", "\\[") for example in examples]
    return "\n\n".join(["[bold]Examples[/bold]", *shown, f"Exit status: {status}."])


class ExplainFormat(StrEnum):
    """How an explanation is printed."""

    TEXT = "text"
    JSON = "json"
    SVG = "svg"
    HTML = "html"
    LATEX = "latex"


class AuditFormat(StrEnum):
    """How an audit is printed."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    SARIF = "sarif"


class TextOrJson(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class Show(StrEnum):
    """What is shown besides."""

    INDICES = "indices"


class Origin(StrEnum):
    """Which backend a Keras 1 file was written with."""

    TENSORFLOW = "tensorflow"
    THEANO = "theano"


class Ordering(StrEnum):
    """Where the channels stand in an image."""

    TF = "tf"
    TH = "th"


Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to a file instead of the screen.")
]

ShowOption = Annotated[
    Show | None, typer.Option(help="Also index by index who sees whom, on a small shape.")
]


@app.command(
    no_args_is_help=True,
    epilog=_ending(
        'normscope explain "b [c]" --shape 2,3',
        'normscope explain "BatchNormalization(mode=1)" --shape 8,128,56,56 --axes "b c h w"',
        'normscope explain "b [s...] (g [c])" --size g=4 --shape 8,56,56,128',
        'normscope explain "torch.GroupNorm(32, 128)" --shape 8,128,56,56',
        'normscope explain "[b] c [s...]" --shape 8,64,56,56 --dtype float32',
        "normscope explain batch --shape any,56,56,128 --format svg -o batch.svg",
        status="0 explained, 2 it could not be read, or does not fit the shape",
    ),
)
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

    sizes = dict(_size(text) for text in size or [])
    if shape is None:  # a fault in the text is said first: no shape would mend it
        from_text(layer, sizes, axes)
        raise SpecError(
            f"give the shape of the input: normscope explain {_quoted(layer)} --shape 8,128,56,56"
        )
    explanation = explain_layer(layer, _shape(shape), axes=axes, dtype=dtype, **sizes)
    match output_format:
        case ExplainFormat.TEXT:
            from normscope.explain.text import plain_text, rich_text

            show(rich_text, plain_text, explanation, output)
        case ExplainFormat.JSON:
            write(as_json(explanation.to_dict()), output)
        case ExplainFormat.SVG:
            write(explanation.svg, output)
        case ExplainFormat.HTML:
            write(explanation.to_html(), output)
        case ExplainFormat.LATEX:
            write(explanation.formula, output)


@app.command(
    no_args_is_help=True,
    epilog=_ending(
        'normscope identify "torch.nn:GroupNorm(32, 128)" --shape 4,128,7,7',
        'normscope identify "keras.layers:LayerNormalization(axis=1)" --shape 4,6,5,7',
        'normscope identify "my_package.layers:MyNorm()" --shape 8,32 --axes "b c"',
        'normscope identify "model.py:Masked()" --shape 8,32 --input mask=8,32:bool',
        "normscope identify layer.onnx --shape 8,32",
        status="0 identified, 1 not a normalization or unknown, 2 could not be read or used",
    ),
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
    from normscope.scope.input_text import further_inputs

    known = _known_shape(shape)
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


@app.command(
    no_args_is_help=True,
    epilog=_ending(
        'normscope scope "model.py:Net()" --shape 4,3,32,32 --axes "b c h w"',
        'normscope scope model.py:net --input "ids=2,16:int64<1000" --input mask=2,16:bool',
        "normscope scope model.py:net --input x.npy --format json",
        "normscope scope model.onnx --shape 4,3,32,32",
        status="0 no sample sees another at inference, 1 one does or it is not known, "
        "2 could not be read or used",
    ),
)
def scope(
    model: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:EXPRESSION|FILE.onnx",
            help='A model or function, whose expression is run: "model.py:Net()", '
            '"package.module:net"; or an ONNX file.',
        ),
    ],
    shape: Annotated[
        list[str] | None, typer.Option(help="Shape of an input of random numbers: 4,3,32,32.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", help="An input: shape, dtype, bound (2,16:int64<99), name=..., or x.npy."
        ),
    ] = None,
    axes: Annotated[
        list[str] | None,
        typer.Option(help='Names for the axes: "b c h w"; with several inputs "ids=b t".'),
    ] = None,
    show: ShowOption = None,
    output_format: Annotated[TextOrJson, typer.Option("--format")] = TextOrJson.TEXT,
    output: Output = None,
) -> None:
    """Find out whether samples see each other in a model, and what its outputs depend on."""
    from normscope.frameworks.layer_expression import layer_from_expression
    from normscope.scope import scope as scope_model
    from normscope.scope.input_text import axes_from_text, inputs_from_text

    given = inputs_from_text([*(shape or []), *(inputs or [])])
    found = scope_model(
        layer_from_expression(model),
        given,
        axes=axes_from_text(axes or []),
        show=show and show.value,
    )
    write(as_json(found.to_dict()) if output_format is TextOrJson.JSON else str(found), output)
    raise typer.Exit(CLEAN if found.samples_independent["inference"] else FINDINGS)


@app.command(
    no_args_is_help=True,
    epilog=_ending(
        "normscope audit model.h5",
        "normscope audit model.json --format html -o report.html",
        "normscope audit model.h5 --ignore NS401 --format json",
        "normscope audit model.json --release 1.0.5 --backend theano",
        status="0 no findings, 1 there are findings, 2 the file could not be read",
    ),
)
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


@app.command(
    no_args_is_help=True,
    epilog=_ending(
        "normscope convert old.h5 new.keras",
        "normscope convert old.h5 new.keras --force",
        "normscope convert model.json weights.h5 new.keras",
        "normscope convert old.h5 new.keras --backend theano --dim-ordering th",
        "normscope convert old.h5 new.keras --release 1.0.5",
        "normscope convert old.h5 new.keras --data inputs.npy",
        "KERAS_BACKEND=torch normscope convert old.h5 new.keras",
        status="0 done, 1 done with differences or assumptions, 2 could not be read or used",
    ),
)
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
    from normscope.keras1.convert.installed import ensure_keras
    from normscope.progress import progress_bar

    if len(others) > 2:
        raise SpecError(
            f"convert takes OLD.h5 NEW.keras, or MODEL.json WEIGHTS.h5 NEW.keras; "
            f"these are {1 + len(others)} files"
        )
    *weights, target = others
    inputs = None if data is None else _arrays(data)
    ensure_keras()
    with progress_bar() as progress:
        from normscope.keras1.convert import convert as convert_model

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


@app.command(
    epilog=_ending(
        "normscope warmup",
        "normscope warmup float32 bfloat16",
        status="0 compiled, 2 there are no kernels for such a dtype",
    ),
)
def warmup(
    dtypes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DTYPE]...", help="Of the arrays: float32, float64, float16, bfloat16; or all."
        ),
    ] = None,
) -> None:
    """Compile every kernel now, so that no later call has to wait for it: minutes, once."""
    from normscope.engine.warmup import DTYPES, warmup
    from normscope.progress import progress_bar

    with progress_bar() as progress:
        calls = warmup(dtypes or DTYPES, progress)
    print_text(f"{counted(calls, 'kind')} of calls compiled and kept")


@app.command(
    epilog=_ending(
        "normscope rules",
        "normscope rules NS103",
        "normscope rules redundant-bias",
        status="0 shown, 2 there is no such rule",
    ),
)
def rules(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Code or name of one rule.")
    ] = None,
) -> None:
    """List the rules of the audit, or explain one."""
    from normscope.audit import all_rules, find_rule

    if code is not None:
        print_text(find_rule(code).documentation)
        return
    lines = [
        f"{rule.code}  {rule.severity:7}  {rule.name:33} {rule.summary}" for rule in all_rules()
    ]
    print_text("\n".join(lines))


def main() -> None:
    """Run the command line; whatever goes wrong is one message and status 2, never status 1."""
    prepare_streams()
    try:
        status = app(standalone_mode=False)
    except (NormscopeError, OSError) as error:
        print_error(str(error))
        if isinstance(error, OSError):  # typer could not print the help
            discard_output()
    except MemoryError as error:
        print_error(f"there is not enough memory for this: {error}".removesuffix(": "))
    except Exception as error:
        if not isinstance(getattr(error, "message", None), str) or not hasattr(error, "ctx"):
            print_error(_unexpected(error))
        else:  # an option that there is not, or an argument too many or too few
            from typer.rich_utils import rich_format_error

            error.message = printable(error.message)  # type: ignore[attr-defined]
            rich_format_error(error)  # type: ignore[arg-type]
    else:
        sys.exit(status if isinstance(status, int) else CLEAN)
    sys.exit(UNUSABLE)


def _unexpected(error: Exception) -> str:
    """The message for an error that is a fault of normscope."""
    *_, (place, line) = traceback.walk_tb(error.__traceback__)
    file = Path(place.f_code.co_filename)
    return (
        f"this is a fault of normscope, please report it with the command and this line: "
        f"{type(error).__name__}: {error} (in {file.parent.name}/{file.name}, line {line})"
    ).replace("\n", " ")


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f"'{text}'"


def _shape(text: str) -> tuple[int | None, ...]:
    """`8,128,any`, also in parentheses or with spaces, as a tuple."""
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("()", "[]"):
        inner = inner[1:-1].strip()
    words = re.split(r"\s*,\s*|\s+", inner.removesuffix(","))
    return () if words == [""] else tuple(_length(word, text) for word in words)


def _length(word: str, text: str) -> int | None:
    if word.lower() in _OPEN:
        return None
    digits = word.isascii() and word.isdigit()
    if digits and len(word) < 20 and int(word) <= MAX_LENGTH:
        return int(word)
    problem = "is too large for" if digits else "is not"
    raise SpecError(
        f"--shape {text[:60]!r}: {word[:40]!r} {problem} the length of an axis; write a length "
        f'from 0 to {MAX_LENGTH}, as in --shape 8,128,56,56, or "any" where it varies'
    )


def _known_shape(text: str) -> tuple[int, ...]:
    """The shape of an array that is made.

    Raises:
        SpecError: it has an axis of any length.
    """
    sizes = _shape(text)
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        small = ",".join("4" if size is None else f"{size}" for size in sizes)
        raise SpecError(
            f"--shape {text[:60]!r}: the layer is called, so each axis needs a length; write a "
            f"small one in place of any, such as --shape {small}"
        )
    return known


def _arrays(path: Path) -> Any:
    """The array of an `.npy` file, or the list of those of an `.npz` file."""
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else [found[key] for key in found.files]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SpecError(
            f"--data {str(path)!r} is no .npy or .npz file of numbers: {error}"
        ) from None


def _size(text: str) -> tuple[str, int]:
    name, equals, value = text.partition("=")
    if not equals or not value.isdigit() or len(value) > 18:
        raise SpecError(f"--size {text[:60]!r}: write an axis and its size, as in --size g=4")
    return name.strip(), int(value)
