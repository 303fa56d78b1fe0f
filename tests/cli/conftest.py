"""The command line as a function: words in, exit code, stdout and stderr out."""

import sys

import pytest

from hwsim.cli import main


@pytest.fixture
def hwsim(capsys, monkeypatch):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call
