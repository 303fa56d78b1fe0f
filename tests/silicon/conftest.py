"""All measured rows, and fits with and without them: worked out once for every test."""

import pytest

from hwsim.silicon.npu_fit import check_npus
from hwsim.silicon.samples import samples
from hwsim.silicon.validation import check, measured_rows


@pytest.fixture(scope="session")
def found():
    return check(samples(measured_rows()))


@pytest.fixture(scope="session")
def npus():
    return check_npus()
