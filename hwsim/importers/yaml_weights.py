"""The sidecar of a net YAML: an .npz beside it with the constants' values and per-channel quantisation.

Entries are named ``data/<tensor>``, ``scale/<tensor>`` and ``zero_point/<tensor>``. Nothing in it is unpickled, and no
entry is read whose header does not state the shape and dtype that the YAML gives.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from hwsim.errors import ModelFileError
from hwsim.files import need_regular
from hwsim.graph import Graph, Shape, elements

Array = np.ndarray[Any, Any]

_UNSAFE = re.compile(r"[\x00-\x1f%\\]")

MAX_HEADER_BYTES = 1024
"""The .npy header of an array of at most eight axes takes 128 bytes."""


def entry_name(part: str, tensor: str) -> str:
    """Return the name of an entry; control characters and % are percent-encoded, as a ZIP file cuts names at a zero."""
    return f"{part}/{_UNSAFE.sub(lambda char: quote(char.group(), safe=''), tensor)}"


def sidecar_content(graph: Graph) -> bytes | None:
    """Return the sidecar of a graph, or None where it has neither values nor per-channel quantisation."""
    entries: dict[str, Array] = {}
    for tensor in graph.tensors.values():
        if tensor.data is not None:
            entries[entry_name("data", tensor.name)] = tensor.data
        if tensor.quant is not None and len(tensor.quant.scale) > 1:
            entries[entry_name("scale", tensor.name)] = np.asarray(tensor.quant.scale, np.float64)
            entries[entry_name("zero_point", tensor.name)] = np.asarray(tensor.quant.zero_point, np.int64)
    if not entries:
        return None
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, values in entries.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # a fixed date: the same graph gives the same bytes
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(values, order="C"), allow_pickle=False)
    return content.getvalue()


class Sidecar:
    """An open sidecar; a context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open ``name`` in ``folder``.

        Raises:
            ModelFileError: ``name`` leads outside the folder, or to no .npz.
        """
        if name != Path(name).name or "\\" in name or name in ("", ".", ".."):
            raise ModelFileError(f"weights = {name!r}: must be the name of a file beside the YAML, not a path")
        self.path = folder / name
        if self.path.is_symlink():
            raise ModelFileError(f"weights = {name!r}: is a link; put the file itself beside the YAML")
        need_regular(self.path, ModelFileError)
        try:
            self._archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise ModelFileError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ModelFileError(f"{self.path}: is no .npz file, or is truncated ({error})") from None
        self._unread = {info.filename: info for info in self._archive.infolist()}

    def __enter__(self) -> Sidecar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._archive.close()

    def read(self, part: str, tensor: str, shape: Shape, dtype: np.dtype[Any]) -> Array | None:
        """Return a tensor's values, scales or zero points, or None where the sidecar has none.

        Raises:
            ModelFileError: The entry is of another shape or dtype, or damaged.
        """
        name = f"{entry_name(part, tensor)}.npy"
        info = self._unread.pop(name, None)
        if info is None:
            return None
        size = elements(shape) * dtype.itemsize
        if not size < info.file_size <= size + MAX_HEADER_BYTES:
            raise ModelFileError(
                f"{self.path}: {name} has {info.file_size} bytes; shape {shape} of {dtype} takes {size}"
            )
        try:
            with self._archive.open(info) as file:
                stated = _header(file)
                if stated != (shape, False, dtype):
                    raise ModelFileError(
                        f"{self.path}: {name} has shape {stated[0]} of {stated[2]}, not {shape} of {dtype}"
                    )
                content = file.read(size)
        except (
            zipfile.BadZipFile,
            zlib.error,
            ValueError,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise ModelFileError(f"{self.path}: {name} is damaged ({error})") from None
        if len(content) != size:
            raise ModelFileError(f"{self.path}: {name} is truncated")
        return np.frombuffer(content, dtype).reshape(shape)

    def check_all_read(self) -> None:
        """Check that every entry belonged to a tensor of the net.

        Raises:
            ModelFileError: One did not.
        """
        for name in self._unread:
            raise ModelFileError(f"{self.path}: holds {unquote(name)}, which is no constant of the net")


def _header(file: Any) -> tuple[Shape, bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and dtype, as an .npy file's header states them."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
    raise ValueError(f"version {version} of the .npy format")
