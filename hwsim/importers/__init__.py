"""Importers: net files and the catalogue of nets, in; graphs, out."""

from hwsim.importers.load import OperatorRow, inspect_operators, load_net, net_names

__all__ = ["OperatorRow", "inspect_operators", "load_net", "net_names"]
