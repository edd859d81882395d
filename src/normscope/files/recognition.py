"""What a file is, told by its content and never by its name, and what normscope can do with it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from normscope.errors import ModelFileError, printable
from normscope.files.archive import member_names
from normscope.files.protobuf import MESSAGE, VARINT, top_level_fields
from normscope.files.regular import NOT_REGULAR, open_regular

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
HEAD_BYTES = 512


@dataclass(frozen=True)
class FileKind:
    """What a file is.

    Attributes:
        name: in words, with an article: "a PyTorch checkpoint".
        advice: what to do with it; `{file}` stands for its name. Empty where there is nothing.
    """

    name: str
    advice: str = ""

    def advice_for(self, path: str) -> str:
        """The advice with the name of a file in it."""
        return self.advice.format(file=shlex.quote(printable(path)))


_TORCH = (
    "build the model in Python, load this into it, and ask the live model: "
    'normscope audit "model.py:net" --shape 4,3,224,224, or ns.audit(model, inputs)'
)
_ASK_KERAS = (
    "ask the live model: "
    'normscope audit "model.py:model" --shape 4,224,224,3, or ns.audit(model, inputs)'
)
_KERAS = f"load it with keras.saving.load_model and {_ASK_KERAS}"
_TENSORFLOW = (
    "load it in TensorFlow and ask what it computes: ns.scope(function, inputs), "
    "or ns.identify(layer, shape) for one layer"
)
_WEIGHTS = (
    "it holds arrays and no architecture: build the model in Python, load them into it, and ask "
    'the live model: normscope audit "model.py:net" --shape 4,3,224,224, or '
    "ns.audit(model, inputs)"
)
_DATA = "it holds no model; an array read from it goes to ns.normalize(x, pattern)"
_PICKLE = (
    "to load a pickle is to run code from it, which is never done here; load it yourself if you "
    "trust it, and ask the live model: ns.audit(model, inputs), or ns.identify(layer, shape)"
)
_UNPACK = "unpack it, and give the model file in it"

HDF5 = FileKind("an HDF5 file")
JSON = FileKind("a JSON text")
KERAS_ARCHIVE = FileKind("a .keras archive of Keras 3", _KERAS)
KERAS_TODAY = _KERAS
"""The advice for a whole model that Keras 2 or 3 wrote."""
KERAS_TODAY_JSON = f"make the model of it with keras.models.model_from_json and {_ASK_KERAS}"
KERAS_TODAY_WEIGHTS = (
    f"build the model in Python, load them with model.load_weights, and {_ASK_KERAS}"
)
ONNX = FileKind(
    "an ONNX model", "normscope scope {file} --shape 1,3,224,224 tells who sees whom in it"
)
TORCH_CHECKPOINT = FileKind("a PyTorch checkpoint, as torch.save() writes it", _TORCH)
TORCH_LEGACY = FileKind("a PyTorch checkpoint, as torch.save() wrote it before 1.6", _TORCH)
TORCHSCRIPT = FileKind(
    "a TorchScript model, as torch.jit.save() writes it",
    "its code is not run here: give the Python module from which it was made, or ask who sees "
    "whom in what torch.jit.load makes of it: ns.scope(model, inputs)",
)
TORCH_EXPORT = FileKind(
    "an exported PyTorch program (.pt2), as torch.export.save() writes it",
    "load it with torch.export.load and ask its module(): ns.scope(module, inputs)",
)
SAFETENSORS = FileKind("a safetensors file of weights", _WEIGHTS)
HUGGING_FACE = FileKind("a model folder of Hugging Face", _TORCH)
SAVED_MODEL = FileKind("a SavedModel folder of TensorFlow", _TENSORFLOW)
NOTHING = FileKind("an empty file", "the download or the copy was cut off: get it anew")
FOLDER = FileKind("a folder")
UNKNOWN = FileKind("a file of unknown kind")
TEXT = FileKind("a text")

_BY_START: tuple[tuple[bytes, FileKind], ...] = (
    (HDF5_MAGIC, HDF5),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", TORCH_LEGACY),  # its number, pickled
    (b"\x93NUMPY", FileKind("an array of NumPy (.npy)", _DATA)),
    (b"GGUF", FileKind("a GGUF file of weights, as llama.cpp reads it", _WEIGHTS)),
    (b"PK\x05\x06", FileKind("a zip archive without anything in it")),
    (b"\x1f\x8b", FileKind("a file compressed by gzip", _UNPACK)),
    (b"BZh", FileKind("a file compressed by bzip2", _UNPACK)),
    (b"\xfd7zXZ\0", FileKind("a file compressed by xz", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileKind("a file compressed by zstd", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", FileKind("a RAR archive", _UNPACK)),
    (b"\x89PNG\r\n\x1a\n", FileKind("a PNG image", _DATA)),
    (b"\xff\xd8\xff", FileKind("a JPEG image", _DATA)),
    (b"GIF8", FileKind("a GIF image", _DATA)),
    (b"II*\0", FileKind("a TIFF image", _DATA)),
    (b"MM\0*", FileKind("a TIFF image", _DATA)),
    (b"%PDF-", FileKind("a PDF document")),
    (b"\x7fELF", FileKind("a program (ELF)")),
    (b"MATLAB 5.0", FileKind("a MATLAB file of arrays", _DATA)),
    (b"SQLite format 3\0", FileKind("an SQLite database")),
    (b"PAR1", FileKind("a Parquet table", _DATA)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("an old document of Microsoft Office")),
    (
        b"version https://git-lfs.github.com/spec/",
        FileKind("a pointer of Git LFS, not the file itself", "fetch the file: git lfs pull"),
    ),
)

_BY_PLACE: tuple[tuple[int, bytes, FileKind], ...] = (
    (4, b"TFL3", FileKind("a TensorFlow Lite model", _TENSORFLOW)),
    (6, b"\0\0\0\0\x36\0\0\0", FileKind("a BMP image", _DATA)),
    (8, b"WEBP", FileKind("a WebP image", _DATA)),
    (257, b"ustar", FileKind("a tar archive", _UNPACK)),
)


def recognise(path: str) -> FileKind:
    """What a file or folder is.

    At most a few KiB of it are read, and the list of what an archive has in it.

    Raises:
        ModelFileError: it cannot be opened, or is a device, a pipe or a socket.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.h5"
    >>> _ = file.write_bytes(b"GIF89a...")
    >>> recognise(str(file)).name
    'a GIF image'
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _kind_of_folder(path)
        if not stat.S_ISREG(mode):
            raise ModelFileError(path, NOT_REGULAR)
        with open_regular(path) as stream:
            return _kind_of_file(stream)
    except OSError as error:
        raise ModelFileError(path, f"cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a path with a null character
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(path, f"cannot be opened: {error}") from error


def _kind_of_file(stream: BinaryIO) -> FileKind:
    head = stream.read(HEAD_BYTES)
    size = stream.seek(0, os.SEEK_END)
    if not head:
        return NOTHING
    for start, kind in _BY_START:
        if head.startswith(start):
            return kind
    for place, word, kind in _BY_PLACE:
        if head[place : place + len(word)] == word:
            return kind
    if head.startswith(ZIP_MAGIC):
        return _kind_of_archive(stream)
    if _is_hdf5_behind(stream, size):
        return HDF5
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return FileKind("a pickle of Python", _PICKLE)
    if _is_safetensors(head, size):
        return SAFETENSORS
    text = _as_text(head)
    return _kind_of_text(text) if text is not None else _kind_of_protobuf(stream)


def _kind_of_archive(stream: BinaryIO) -> FileKind:
    names = member_names(stream)
    if names is None:
        return FileKind("a damaged or very large zip archive", "get it anew, or unpack it")
    inner = {name.partition("/")[2] for name in names} | names
    if names & {"metadata.json", "model.weights.h5"}:
        return KERAS_ARCHIVE
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return TORCHSCRIPT
    if {"serialized_exported_program.json", "archive_format", "models/model.json"} & inner:
        return TORCH_EXPORT
    if "data.pkl" in inner:
        return TORCH_CHECKPOINT
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("an archive of NumPy arrays (.npz)", _WEIGHTS)
    if "saved_model.pb" in inner:
        return FileKind("a zip archive with a SavedModel of TensorFlow in it", _TENSORFLOW)
    if "[Content_Types].xml" in names:
        return FileKind("a document of Office")
    return FileKind("a zip archive, but not of a model", _UNPACK)


def _is_hdf5_behind(stream: BinaryIO, size: int) -> bool:
    """Whether an HDF5 file begins where its format lets it, behind what its user put before it."""
    place = HEAD_BYTES
    while place < size:
        stream.seek(place)
        if stream.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
            return True
        place *= 2
    return False


def _is_safetensors(head: bytes, size: int) -> bool:
    """8 bytes length of a JSON object, which follows."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= size - 8


def _as_text(head: bytes) -> str | None:
    """The start of a text in UTF-8; None where it is not text."""
    for cut in range(4):  # the last letter may be cut in two
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        return None if any(ord(letter) < 32 and not letter.isspace() for letter in text) else text
    return None


def _kind_of_text(text: str) -> FileKind:
    start = text.lstrip()
    if start[:1] in ("{", "["):
        return JSON
    lower = start.lower()
    if lower.startswith(("<!doctype html", "<html")):
        return FileKind("an HTML page", "a download gave a page instead of the file: get it anew")
    if lower.startswith(("<?xml", "<svg")):
        return FileKind("an XML text")
    if lower.startswith(("backend:", "class_name:", "config:", "!!python")):
        return FileKind(
            "a YAML text, as model.to_yaml() wrote it",
            "YAML can hold code and is not read; write the architecture with model.to_json()",
        )
    if lower.startswith(("import ", "from ", "#!/usr/bin/env python", "#!/usr/bin/python", '"""')):
        return FileKind(
            "Python source",
            "name what it defines: normscope audit {file}:net --shape 4,3,224,224, or "
            "normscope identify {file}:layer --shape 8,32",
        )
    return TEXT


def _kind_of_protobuf(stream: BinaryIO) -> FileKind:
    """ONNX and TensorFlow have no signature, only fields of certain numbers and types."""
    fields = top_level_fields(stream)
    found = set(fields)
    versions = [value for (number, kind), value in fields.items() if (number, kind) == (1, VARINT)]
    if versions and 0 < versions[0] < 1000 and (7, MESSAGE) in found:
        return ONNX
    if found == {(1, VARINT), (2, MESSAGE)} and 0 < versions[0] < 1000:
        return FileKind("the graph of a SavedModel (saved_model.pb)", _TENSORFLOW)
    if (1, MESSAGE) in found and (4, MESSAGE) in found and found <= _GRAPH_DEF:
        return FileKind("a graph of TensorFlow (GraphDef)", _TENSORFLOW)
    return UNKNOWN


_GRAPH_DEF = {(1, MESSAGE), (2, MESSAGE), (3, VARINT), (4, MESSAGE)}


def _kind_of_folder(path: str) -> FileKind:
    names = set(_some_names(path))
    if names & {"saved_model.pb", "saved_model.pbtxt"}:
        return SAVED_MODEL
    if "config.json" in names and any(
        name.endswith((".safetensors", ".bin", ".msgpack")) for name in names
    ):
        return HUGGING_FACE
    if names & {"_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt"}:
        return FileKind("a checkpoint folder of Orbax", _WEIGHTS)
    if "checkpoint" in names and any(name.endswith(".index") for name in names):
        return FileKind("a checkpoint folder of TensorFlow", _WEIGHTS)
    return FOLDER


def _some_names(path: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        for _, entry in zip(range(1000), entries, strict=False):
            yield entry.name
