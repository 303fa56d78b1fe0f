"""TFLite variables: what a streaming net keeps from one run to the next.

hwsim's graphs keep nothing. A variable that is read is an input of the graph, and what is assigned to it is an output
beside the file's own: the caller hands it in again at the next run.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.importers.tflite_import import TfliteImport, Translation, UnsupportedError
from hwsim.importers.tflite_reader import FileOperator


def _call_once(net: TfliteImport, op: FileOperator) -> None:
    """Skip the subgraph that gives the variables their first values."""


def _handle(net: TfliteImport, op: FileOperator) -> None:
    for handle in op.outputs:
        net.variables[handle] = None


def _read(net: TfliteImport, op: FileOperator) -> None:
    handle, output = net.tensor(op, 0).index, op.outputs[0]
    if handle not in net.variables:
        raise UnsupportedError("its variable has no handle")
    if net.variables[handle] is not None:
        raise UnsupportedError("its variable is assigned or read before")
    tensor = net.file.tensors[output]
    net.variables[handle] = net.builder.input(
        net.names[output], tensor.shape, net.format_of(tensor), quant=tensor.quant
    )


def _assign(net: TfliteImport, op: FileOperator) -> None:
    if net.variables.get(net.tensor(op, 0).index) is None:
        raise UnsupportedError("its variable is not read before")
    net.states.append(net.constant(net.name(op, 1)))


TRANSLATIONS: Mapping[str, Translation] = {
    "CALL_ONCE": _call_once,
    "VAR_HANDLE": _handle,
    "READ_VARIABLE": _read,
    "ASSIGN_VARIABLE": _assign,
}
WITHOUT_VALUES = frozenset(("CALL_ONCE", "VAR_HANDLE", "ASSIGN_VARIABLE"))
"""Operators that write no tensor with values."""
