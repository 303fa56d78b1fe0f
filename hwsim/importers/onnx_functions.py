"""Functions of an ONNX file written out where they are called, unless that would never end or fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from hwsim.errors import ModelFileError

MAX_INLINED_BYTES = 2**28
"""A few functions that call one another twice make 2^n calls: a small file must not ask for gigabytes."""

Key = tuple[str, str]


def inlined(path: Path, model: Any) -> Any:
    """Return the model without functions of its own, each call replaced by the function's nodes.

    Raises:
        ModelFileError: A function calls itself, or the result would be larger than ``MAX_INLINED_BYTES``.
    """
    bodies = {_key(function.domain, function.name): function for function in model.functions}
    calls = {key: [call for call in _calls(body.node) if call in bodies] for key, body in bodies.items()}
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        names = " -> ".join(repr("::".join(key)) for key in error.args[1])
        raise ModelFileError(f"{path}: functions call themselves: {names}") from None
    bytes_of: dict[Key, int] = {}
    for key in order:
        bytes_of[key] = bodies[key].ByteSize() + sum(bytes_of[call] for call in calls[key])
    total = model.ByteSize() + sum(bytes_of.get(call, 0) for call in _calls(model.graph.node))
    if total > MAX_INLINED_BYTES:
        raise ModelFileError(
            f"{path}: its functions written out take {total:,} bytes; {MAX_INLINED_BYTES:,} is the most: inline them "
            "before export"
        )
    from onnx.inliner import inline_local_functions

    return inline_local_functions(model)


def _calls(nodes: Iterable[Any]) -> Iterator[Key]:
    """Yield domain and name of every operator, those in subgraphs too; protobuf bounds how deep they nest."""
    for node in nodes:
        yield _key(node.domain, node.op_type)
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _calls(graph.node)


def _key(domain: str, name: str) -> Key:
    return ("" if domain == "ai.onnx" else domain, name)
