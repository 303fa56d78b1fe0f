"""Conversions between the units people write (MHz, KiB, ms, mJ) and those hwsim computes in (SI and bytes)."""

from __future__ import annotations

BITS_PER_BYTE = 8
BYTES_PER_KIB = 1024
BYTES_PER_MIB = 1024**2
BYTES_PER_GIB = 1024**3

HZ_PER_MHZ = 1e6
S_PER_MS = 1e-3
S_PER_US = 1e-6
S_PER_NS = 1e-9
S_PER_MINUTE = 60.0
S_PER_HOUR = 3600.0
S_PER_DAY = 86400.0
S_PER_YEAR = 365.25 * S_PER_DAY
J_PER_PJ = 1e-12
J_PER_UJ = 1e-6
J_PER_MJ = 1e-3
W_PER_MW = 1e-3
W_PER_UW = 1e-6
BYTES_PER_GB = 1e9

OPS_PER_MAC = 2
