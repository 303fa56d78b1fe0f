"""``python -m hwsim.cli``."""

from hwsim.cli import main

main()
