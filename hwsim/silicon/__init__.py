"""Published measurements of real chips, and what hwsim says of the same nets."""

from __future__ import annotations

from hwsim.silicon.measurements import Measurement, measurements

__all__ = ["Measurement", "measurements"]
