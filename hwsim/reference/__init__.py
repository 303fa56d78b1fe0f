"""The numpy forward pass: float32 and int8 kernels, the interpreter, and what it measures."""

from hwsim.reference.interpreter import forward
from hwsim.reference.measure import LayerMeasurement, measure

__all__ = ["LayerMeasurement", "forward", "measure"]
