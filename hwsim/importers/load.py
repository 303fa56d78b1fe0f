"""``load_net``: one door for every net, be it a file or a name from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import ModelFileError, UsageError, did_you_mean
from hwsim.files import need_regular
from hwsim.graph import Graph
from hwsim.importers.batching import with_batch
from hwsim.importers.catalogue import build_net, net_names

FORMATS: Mapping[str, str] = {".onnx": "ONNX", ".tflite": "TFLite", ".yaml": "YAML", ".yml": "YAML"}
"""What hwsim reads, by extension."""

_HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator type of a net file: how often it occurs, and whether hwsim knows it in that form."""

    name: str
    count: int
    known: bool
    first: str


def load_net(
    source: str | Path,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    allow_unknown: bool = False,
    **parameters: object,
) -> Graph:
    """Load a net from a file (.onnx, .tflite, .yaml) or build one of the catalogue by name.

    Args:
        source: A path, or a name such as ``squeezenet_v1_1`` (``net_names()`` lists them).
        batch: Size of the first axis of the inputs.
        dims: Sizes of a file's other symbolic axes by name; 1 where left out.
        allow_unknown: Import a file's unknown operators without cost, with a warning.
        parameters: Parameters of a catalogue net, such as ``width=0.5``.

    Raises:
        UsageError: ``source`` is neither a file nor a known name, or an argument does not fit it.
        NetError: The file or the net is wrong; ``ModelFileError``, ``UnknownOperatorError`` say how.
        MissingExtraError: The file is ONNX and the package for it is not installed.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"batch = {batch}: must be >= 1")
    path = _file(source)
    if path is None:
        if dims:
            raise UsageError(f"dims = {dict(dims)}: {source!r} is a net of the catalogue, which has no symbolic axes")
        graph = _build(str(source), parameters)
        return graph if batch is None else with_batch(graph, batch)
    if parameters:
        raise UsageError(f"parameter {next(iter(parameters))!r}: {path} is a file; only nets by name take parameters")
    match _format(path):
        case "TFLite":
            from hwsim.importers.tflite_file import load_tflite

            return load_tflite(path, dims=dims, batch=batch, allow_unknown=allow_unknown)
        case "ONNX":
            from hwsim.importers.onnx_file import load_onnx

            return load_onnx(path, dims=dims or {}, batch=batch, allow_unknown=allow_unknown)
        case _:
            from hwsim.importers.yaml_net import load_yaml

            if dims:
                raise UsageError(f"dims = {dict(dims)}: a net YAML states every size; edit {path}")
            graph = load_yaml(path)
            return graph if batch is None else with_batch(graph, batch)


def inspect_operators(source: str | Path) -> list[OperatorRow]:
    """Return a net's operator types in order of appearance, unknown ones included; nothing is run.

    An operator that is known in one form and unknown in another has a row for each. For a net YAML or a catalogue net
    the operators are layer types.

    Raises:
        UsageError, NetError, MissingExtraError: See ``load_net``.
    """
    path = _file(source)
    kind = _format(path) if path is not None else "catalogue"
    found: list[tuple[str, str, bool]]
    if path is not None and kind == "ONNX":
        from hwsim.importers.onnx_check import onnx_operators

        found = onnx_operators(path)
    elif path is not None and kind == "TFLite":
        from hwsim.importers.tflite_file import tflite_operators_of

        found = tflite_operators_of(path)
    else:
        found = [(layer.op.kind, layer.name, layer.op.kind != "unknown") for layer in load_net(source).layers]
    rows: dict[tuple[str, bool], OperatorRow] = {}
    for operator, layer, known in found:
        row = rows.get((operator, known), OperatorRow(operator, 0, known, layer))
        rows[operator, known] = OperatorRow(operator, row.count + 1, known, row.first)
    return list(rows.values())


def _file(source: str | Path) -> Path | None:
    """Return the file that ``source`` names, or None where it is a name of the catalogue.

    Raises:
        UsageError: It is a path to nothing, or a folder.
    """
    path = Path(source)
    by_name = isinstance(source, str) and path.name == source and path.suffix.lower() not in FORMATS
    if by_name and (source in net_names() or not path.exists()):
        return None
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it ({', '.join(FORMATS)})")
    if not path.exists():
        hint = did_you_mean(path.name, (other.name for other in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise UsageError(f"there is no file {path}{hint}")
    return path


def _build(name: str, parameters: Mapping[str, object]) -> Graph:
    names = net_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"; `hwsim nets` lists the {len(names)} nets"
        raise UsageError(f"{name!r} is no net of the catalogue, and there is no file of that name{hint}")
    return build_net(name, **parameters)


def _format(path: Path) -> str:
    """Return a file's format by its extension, once its first bytes agree.

    Raises:
        ModelFileError: The extension is not one hwsim reads, the content is of another format, or it can't be read.
    """
    need_regular(path, ModelFileError)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    extension = path.suffix.lower()
    stated, found = FORMATS.get(extension), _content(head)
    if stated is None:
        looks = f"; its content looks like {found}" if found else ""
        raise ModelFileError(f"{path}: hwsim reads {', '.join(FORMATS)}{looks}")
    if not head:
        raise ModelFileError(f"{path}: is empty")
    if found is not None and found != stated:
        if found == "YAML":
            raise ModelFileError(f"{path}: is named {extension}, but holds text (a Git LFS pointer, or a net YAML?)")
        way_out = next((e for e, name in FORMATS.items() if name == found), None)
        advice = f"rename it to {path.stem}{way_out}" if way_out else f"hwsim reads {', '.join(FORMATS)}"
        raise ModelFileError(f"{path}: is named {extension}, but its content is {found}; {advice}")
    return stated


def _content(head: bytes) -> str | None:
    """Return what a file's first bytes say it is, or None where they say nothing certain."""
    if head[4:8] == b"TFL3":
        return "TFLite"
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    # An ONNX file is a protobuf message whose first field, as written by every exporter, is the IR version (a varint).
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x2A, 0x3A, 0x42):
        return "ONNX"
    if head and b"\0" not in head and all(byte >= 0x20 or byte in b"\t\n\r" for byte in head):
        return "YAML" if b":" in head and _is_text(head) else None
    return None


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8, the last character perhaps cut."""
    try:
        head[: max(len(head) - 3, 1)].decode()
    except UnicodeDecodeError as error:
        return error.end >= len(head) - 3
    return True


_MAGIC: Mapping[bytes, str] = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"PK\x03\x04": "a ZIP archive (a Keras or PyTorch file?)",
    b"\x89HDF": "HDF5 (a Keras file?)",
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"\x93NUMPY": "a numpy array",
}
