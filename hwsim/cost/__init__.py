"""The cost room: lowering, memory plan, array and core models, and the engine that joins them over hardware points."""

from hwsim.cost.arena import Arena, Placement, plan_arena
from hwsim.cost.array_time import OBJECTIVES
from hwsim.cost.candidates import ORDERS, Candidates
from hwsim.cost.costs import DIRECTIONS, TENSOR_KINDS, Costs
from hwsim.cost.dtype import natural_dtype, net_dtype
from hwsim.cost.footprint import memory_facts, own_footprint
from hwsim.cost.frame import NOBODY, engine_rate
from hwsim.cost.io_bound import array_io_lower_bound_bytes, held_in_array_bytes, io_lower_bound_bytes
from hwsim.cost.model import cost, totals
from hwsim.cost.takers import Taken, engine_kinds
from hwsim.cost.totals import Totals
from hwsim.cost.workload import Row, Workload, home_bytes, lower

__all__ = [
    "DIRECTIONS",
    "NOBODY",
    "OBJECTIVES",
    "ORDERS",
    "TENSOR_KINDS",
    "Arena",
    "Candidates",
    "Costs",
    "Placement",
    "Row",
    "Taken",
    "Totals",
    "Workload",
    "array_io_lower_bound_bytes",
    "cost",
    "engine_kinds",
    "engine_rate",
    "held_in_array_bytes",
    "home_bytes",
    "io_lower_bound_bytes",
    "lower",
    "memory_facts",
    "natural_dtype",
    "net_dtype",
    "own_footprint",
    "plan_arena",
    "totals",
]
