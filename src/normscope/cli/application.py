"""The application: its commands, and what is said when something goes wrong."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from normscope.cli import audit, convert, explain, identify, new_rule, rules, scope, warmup
from normscope.cli.options import CLEAN, UNUSABLE
from normscope.cli.output import discard_output, print_error, print_text
from normscope.cli.streams import prepare_streams
from normscope.errors import NormscopeError, printable
from normscope.version import __version__

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
    """Options of the command as a whole."""


# in the order in which the help lists them
app.command(no_args_is_help=True, epilog=explain.ENDING)(explain.explain)
app.command(no_args_is_help=True, epilog=identify.ENDING)(identify.identify)
app.command(no_args_is_help=True, epilog=scope.ENDING)(scope.scope)
app.command(epilog=audit.ENDING)(audit.audit)
app.command(no_args_is_help=True, epilog=convert.ENDING)(convert.convert)
app.command(epilog=warmup.ENDING)(warmup.warmup)
app.command(epilog=rules.ENDING)(rules.rules)
app.command(no_args_is_help=True, epilog=new_rule.ENDING)(new_rule.new_rule)


def main() -> None:
    """Run the command line; whatever goes wrong is one message and status 2, never status 1."""
    prepare_streams()
    try:
        status = app(standalone_mode=False)
    except (NormscopeError, OSError) as error:
        print_error(str(error))
        if isinstance(error, OSError):  # typer could not print the help
            discard_output()
    except typer.Abort as error:  # which typer makes of these two
        cause = error.__cause__
        interrupted = isinstance(cause, KeyboardInterrupt)
        print_error("interrupted" if interrupted else _unexpected(cause or error))
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


def _unexpected(error: BaseException) -> str:
    """The message for an error that is a fault of normscope."""
    *_, (place, line) = traceback.walk_tb(error.__traceback__)
    file = Path(place.f_code.co_filename)
    return (
        f"this is a fault of normscope, please report it with the command and this line: "
        f"{type(error).__name__}: {error} (in {file.parent.name}/{file.name}, line {line})"
    ).replace("\n", " ")
