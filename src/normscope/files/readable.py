"""What is read, in words, and the error that says so of a file that is something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from normscope.errors import ModelFileError
from normscope.files.recognition import FOLDER, NOTHING, TEXT, UNKNOWN, FileKind
from normscope.wording import listed


@dataclass(frozen=True)
class Readable:
    """What one reader reads, in words.

    Attributes:
        files: in the plural: "files of Keras 1".
        written: how such files come about, in short: ".h5 of model.save()".
        forms: each form of file, with an article, and what a file that is not of it lacks; empty
            where there is nothing short to say.
    """

    files: str
    written: tuple[str, ...]
    forms: Mapping[str, str]


def only(*readable: Readable) -> str:
    """What is read, and nothing else is.

    >>> only(Readable("files of Keras 1", (".h5 of model.save()",), {}))
    'only files of Keras 1 are read (.h5 of model.save())'
    """
    files = listed([one.files for one in readable])
    return f"only {files} are read ({', '.join(w for one in readable for w in one.written)})"


def neither(*readable: Readable) -> str:
    """None of what is read.

    >>> neither(Readable("", (), {"an HDF5 file": "it has no signature", "JSON": ""}))
    'neither an HDF5 file (it has no signature), nor JSON'
    """
    forms = {form: lacks for one in readable for form, lacks in one.forms.items()}
    said = [f"{form} ({lacks})" if lacks else form for form, lacks in forms.items()]
    return ("neither " if len(said) > 1 else "not ") + ", nor ".join(said)


def not_read(path: str, kind: FileKind, *readable: Readable) -> ModelFileError:
    """The error for a file of a kind that is not read: what it is, and what takes it.

    Args:
        path: of the file.
        kind: what it is.
        readable: what is read.
    """
    if not all(one.forms for one in readable):  # too many to say what it lacks of each
        return ModelFileError(path, _in_short(path, kind, *readable))
    if kind is FOLDER:
        forms = ", or of ".join(form for one in readable for form in one.forms)
        return ModelFileError(path, f"a folder, not a regular file; give the path of {forms}")
    if kind in (NOTHING, TEXT, UNKNOWN):
        return ModelFileError(path, f"{kind.name}: {neither(*readable)}")
    advice = f". What to do: {kind.advice_for(path)}" if kind.advice else ""
    return ModelFileError(path, f"this is {kind.name}; {only(*readable)}{advice}")


def _in_short(path: str, kind: FileKind, *readable: Readable) -> str:
    """What it is, and what to do, or else what is read."""
    if kind is NOTHING:
        return f"{kind.name}: {kind.advice}"
    if kind.advice:
        return f"this is {kind.name}, which is not read. What to do: {kind.advice_for(path)}"
    what = {FOLDER: " that holds no model", UNKNOWN: ", or a damaged one"}.get(kind, "")
    return f"this is {kind.name}{what}; {only(*readable)}"
