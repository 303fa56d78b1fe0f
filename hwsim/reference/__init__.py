"""The numpy forward pass: float32 and int8 kernels, the interpreter, and what it measures."""

from hwsim.reference.arrays import file_shape, load_inputs, noise, save_arrays
from hwsim.reference.interpreter import forward
from hwsim.reference.measure import LayerMeasurement, measure

__all__ = ["LayerMeasurement", "file_shape", "forward", "load_inputs", "measure", "noise", "save_arrays"]
