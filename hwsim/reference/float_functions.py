"""Functions of one element and arithmetic of two, in float32 (other dtypes keep theirs)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.graph.ops import BinaryFunction, UnaryFunction

Array = NDArray[Any]

# erf(x) = x · P(x²) / Q(x²) on |x| <= 4, where erf is 1 to the last bit of a float32; highest power first.
# Source: Eigen 3.3, generic_fast_erf_float (rational minimax fit), absolute error below 5e-7 in float32.
ERF_LIMIT = 4.0
ERF_NUMERATOR = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
ERF_DENOMINATOR = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
GELU_TANH_CUBIC = 0.044715  # Hendrycks and Gimpel, arXiv:1606.08415, section 2


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    return np.maximum(x, 0)


def clip(x: Array, low: float | None, high: float | None) -> Array:
    """Return x held between ``low`` and ``high``; None leaves a side open."""
    return np.clip(x, low, high)


def relu6(x: Array) -> Array:
    """Return min(max(x, 0), 6)."""
    return clip(x, 0.0, 6.0)


def leaky_relu(x: Array, alpha: float) -> Array:
    """Return x where positive, else alpha·x."""
    return np.where(x >= 0, x, x * alpha)


def prelu(x: Array, slope: Array) -> Array:  # slope broadcasts to x: (C,), (1, 1, C), …
    """Return x where positive, else slope·x."""
    return np.where(x >= 0, x, x * slope)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return x where positive, else alpha·(exp(x) − 1)."""
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(−x))."""
    with np.errstate(over="ignore"):  # exp(−x) = inf gives the right 0
        return 1 / (1 + np.exp(-x))


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """Return clip(alpha·x + beta, 0, 1)."""
    return clip(x * alpha + beta, 0.0, 1.0)


def hard_swish(x: Array) -> Array:
    """Return x · clip(x + 3, 0, 6) / 6 (Howard et al., arXiv:1905.02244)."""
    return x * clip(x + 3, 0.0, 6.0) / 6


def silu(x: Array) -> Array:
    """Return x · sigmoid(x), also called swish."""
    return x * sigmoid(x)


def erf(x: Array) -> Array:
    """Return the error function, to 5e-7 in float32; source at ``ERF_LIMIT``."""
    bounded = np.clip(x, -ERF_LIMIT, ERF_LIMIT)
    square = bounded * bounded
    return bounded * _polynomial(ERF_NUMERATOR, square) / _polynomial(ERF_DENOMINATOR, square)


def gelu(x: Array) -> Array:
    """Return x · Φ(x) = x/2 · (1 + erf(x / √2))."""
    result: Array = x * (1 + erf(x * math.sqrt(0.5))) * 0.5
    return result


def gelu_tanh(x: Array) -> Array:
    """Return x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), the approximation of arXiv:1606.08415."""
    inner = math.sqrt(2 / math.pi) * (x + GELU_TANH_CUBIC * x * x * x)
    result: Array = x * (1 + np.tanh(inner)) * 0.5
    return result


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)), as max(x, 0) + log1p(exp(−|x|)) so that nothing overflows."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


PLAIN_FUNCTIONS: dict[UnaryFunction, Callable[[Array], Array]] = {
    "relu": relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "hard_swish": hard_swish,
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "softplus": softplus,
    "erf": erf,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": np.square,
    "abs": np.abs,
    "neg": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,  # half to even, as ONNX and TFLite
    "sin": np.sin,
    "cos": np.cos,
}
"""Functions without attributes, by their name in ``ops.Unary``; log(0) and the like give inf or nan, as in ONNX."""

BINARY_FUNCTIONS: dict[BinaryFunction, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "pow": np.power,
    "squared_difference": lambda a, b: np.square(a - b),
}
"""Arithmetic of two tensors that broadcast, by its name in ``ops.Binary``."""


def unary(
    x: Array,
    function: UnaryFunction,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Array:
    """Return a function of each element, chosen by name; attributes as in ``ops.Unary``."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if function == "clip":
            return clip(x, low, high)
        if function == "leaky_relu":
            return leaky_relu(x, _given(alpha))
        if function == "elu":
            return elu(x, _given(alpha))
        if function == "hard_sigmoid":
            return hard_sigmoid(x, _given(alpha), _given(beta))
        return PLAIN_FUNCTIONS[function](x)


def binary(a: Array, b: Array, function: BinaryFunction) -> Array:  # shapes broadcast
    """Return arithmetic of two tensors in their common dtype, chosen by name; integers divide towards zero."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if function == "div" and np.issubdtype(a.dtype, np.integer):
            return np.trunc(np.divide(a, b)).astype(a.dtype)
        return BINARY_FUNCTIONS[function](a, b)


def _given(attribute: float | None) -> float:
    assert attribute is not None, "the layer's shape rule asks for it"
    return attribute


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate by Horner's rule, in place."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value
