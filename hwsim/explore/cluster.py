"""An existing Dask cluster as the executor of a sweep; a worker that dies has its chunks done again by others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from hwsim.errors import UsageError
from hwsim.explore.extras import need

CONNECT_S = 5
# How often a chunk is given out again; a worker may die of a chunk, but not every one of them.
RETRIES = 3


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Use the cluster of a scheduler.

    Args:
        address: Such as ``tcp://10.0.0.1:8786``.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: No scheduler answers there.
    """
    distributed = need("distributed", "a Dask cluster", extra="cluster", package="dask[distributed]")
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"no Dask scheduler answers at {address}: {told}") from None
    with client:
        yield client.get_executor(pure=False, retries=RETRIES)
