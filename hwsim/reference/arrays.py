"""Arrays in and out of a forward pass: from .npy files, as noise, to .npz files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ForwardError, UsageError
from hwsim.files import need_regular, write_whole
from hwsim.graph import Graph, Tensor
from hwsim.reference.step import numpy_dtype

MAX_INPUT_BYTES = 2**30


def file_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return an input's or output's shape in the layout of its model file."""
    if tensor.file_axes is None:
        return tensor.shape
    shape = [0] * len(tensor.shape)
    for internal, axis in enumerate(tensor.file_axes):
        shape[axis] = tensor.shape[internal]
    return tuple(shape)


def noise(graph: Graph, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return an array for every input: normal for floats, the whole range for 8 and 16 bits, zeros for indices."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape, dtype = file_shape(tensor), numpy_dtype(tensor.dtype)
        if tensor.dtype.startswith("float"):
            arrays[name] = rng.standard_normal(shape).astype(dtype)
        elif dtype.itemsize <= 2 and dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            arrays[name] = rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)
        else:
            arrays[name] = np.zeros(shape, dtype)
    return arrays


def load_inputs(graph: Graph, words: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return arrays read from ``FILE`` (for a net with one input) or ``NAME=FILE``, each a .npy file.

    Raises:
        UsageError: A word is not of that form, or no input is called so.
        ForwardError: A file is no .npy array of finite numbers, or is too large.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for word in words:
        name, equals, path = word.rpartition("=")
        if not equals:
            if len(graph.inputs) != 1:
                raise UsageError(f"--input {word}: the net has inputs {', '.join(graph.inputs)}: write NAME=FILE")
            name = graph.inputs[0]
        arrays[name] = _read(Path(path))
    return arrays


def _read(path: Path) -> NDArray[Any]:
    try:
        if need_regular(path, ForwardError) > MAX_INPUT_BYTES:
            raise ForwardError(f"{path}: has more than {MAX_INPUT_BYTES:,} bytes")
        # mmap first: a header that lies about its size then fails before memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise ForwardError(f"{path}: cannot be read: {error.strerror or 'not a .npy array'}") from None
    except (ValueError, EOFError) as error:
        # numpy's own words would have the user unpickle what is no array at all.
        words = {
            "allow_pickle": "it is no .npy file",
            "Python objects": "it holds Python objects, never unpickled here",
        }
        reason = next((said for word, said in words.items() if word in str(error)), str(error).splitlines()[0])
        raise ForwardError(f"{path}: is not a .npy array of numbers ({reason}): write one with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise ForwardError(f"{path}: holds several arrays; give one .npy file per input")
    if array.dtype.kind not in "fiub":
        raise ForwardError(f"{path}: holds {array.dtype}, not numbers: write an array of numbers with numpy.save")
    array = np.array(array)
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        first = [int(i) for i in np.argwhere(~finite)[0]]
        raise ForwardError(
            f"{path}: {np.count_nonzero(~finite)} of its {array.size} values are not finite (the first at {first}): "
            "replace them"
        )
    return array


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name as one .npz file, whole or not at all.

    Raises:
        UsageError: The file cannot be written.
    """
    memory = io.BytesIO()
    # A tensor's name may hold a slash, which an archive would take for a folder.
    named: dict[str, Any] = {name.replace("/", "."): array for name, array in arrays.items()}
    np.savez(memory, **named)
    write_whole(path, memory.getvalue())
