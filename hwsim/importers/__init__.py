"""Importers: net files and the catalogue of nets, in; graphs, out."""

from hwsim.importers.catalogue import net_names, smaller_nets
from hwsim.importers.load import OperatorRow, inspect_operators, load_net
from hwsim.importers.yaml_export import export_yaml

__all__ = ["OperatorRow", "export_yaml", "inspect_operators", "load_net", "net_names", "smaller_nets"]
