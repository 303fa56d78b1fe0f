"""What ``hwsim check`` says of an ONNX file: its operators, and which of them hwsim does not know in that form."""

from __future__ import annotations

import os
from pathlib import Path

from hwsim.errors import NetError
from hwsim.importers.onnx_file import finish, in_order, is_known, naming, open_dims, prepare, translate
from hwsim.importers.onnx_read import read_model, resolve


def onnx_operators(path: str | os.PathLike[str]) -> list[tuple[str, str, bool]]:
    """Return (operator, node name, whether hwsim knows it) for every node of the file, in order.

    An operator that is known in other forms is named with the form that is not.

    Raises:
        NetError: The file cannot be read, or its shapes contradict each other; see ``load_onnx``.
        MissingExtraError: onnx is not installed.
    """
    path = Path(path)
    with naming(path) as hints:
        model = read_model(path)
        file = resolve(path, model, None, None)
        hints += open_dims(file)
        nodes = file.nodes
        file.nodes = in_order(path, file)
        work = prepare(path, file)
        all_known = all(is_known(node.op) for node in nodes)
        try:
            translate(work, model, allow_unknown=False)
            if all_known and not work.unknown:
                finish(work)
        except NetError:
            if all_known and not work.unknown:  # what goes wrong after an unknown operator may come from its shapes
                raise
    forms = {node.name: word for word, unknown in work.unknown.items() for node in unknown}
    return [(forms.get(node.name, node.op), node.name, is_known(node.op) and node.name not in forms) for node in nodes]
