"""How the command line speaks: tables on stdout, progress and what is wrong on stderr, and a quiet end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from hwsim.cli.app import BAD_INPUT, DONE, INTERRUPTED
from hwsim.errors import HwsimError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hwsim.report.table import Table

# Typer does not export the base of what it raises for a command line it cannot read.
TyperUsageError: type[Exception] = typer.BadParameter.__mro__[1]
# A run that takes longer than this says what it is at; one that writes to a file says it again now and then.
PATIENCE_S = 1.0
REMINDER_S = 10.0


def quietly(app: Callable[..., Any]) -> int:
    """Run the program and return its exit code; whatever a user can cause ends in one sentence on stderr, or none."""
    old_handler = _die_of_broken_pipes()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without × or µ gets a question mark, not a traceback
    try:
        code = app(standalone_mode=False, prog_name="hwsim")
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except HwsimError as error:
        return _say(str(error))
    except TyperUsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None:
            raise
        _give_up_stdout()
        return _say(f"cannot write to stdout: {error.strerror}")
    finally:
        if old_handler is not None:
            signal.signal(signal.SIGPIPE, old_handler)


def _die_of_broken_pipes() -> Any:
    """Let a closed pipe (``hwsim … | head``) end the program as it ends any other; return what to restore."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGPIPE, signal.SIG_DFL)


@contextlib.contextmanager
def pipes_may_break() -> Iterator[None]:
    """Let a pipe or a socket to another process that dies raise an error instead of ending the program."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def _give_up_stdout() -> None:
    """Drop what is left to write, so that Python does not try again on its way out."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str) -> int:
    from hwsim.report.words import printable

    lines = [printable(line) for line in sentence.splitlines()]
    print("hwsim: " + "\n".join(lines), file=sys.stderr)
    return BAD_INPUT


def _usage(error: Any) -> int:
    """Say what is wrong with a command line, and where its help is."""
    message = error.format_message().strip()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return DONE
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "hwsim"
    told = message.rstrip(".").replace("Value error, ", "").replace(". Did you mean", "; did you mean")
    told = re.sub(r" \(Possible options: (.*)\)", r"; did you mean \1?", told)
    return _say(f"{told[0].lower()}{told[1:]} (see `{path} --help`)")


def console(*, wide: bool = False) -> Console:
    """Return where tables go: as wide as the terminal, or as a page where the output goes elsewhere."""
    from rich.console import Console

    from hwsim.report.table import WIDTH

    terminal = Console(highlight=False, emoji=False, markup=False)
    width = terminal.width if terminal.is_terminal else WIDTH
    return Console(highlight=False, emoji=False, markup=False, width=max(width, 1000) if wide else width)


def show(make: RenderableType | Callable[[int], RenderableType], *, wide: bool = False) -> None:
    """Print something rich can print, or what a function makes of the width there is."""
    target = console(wide=wide)
    target.print(make(target.width) if callable(make) else make)


def show_table(table: Table) -> None:
    """Print a table."""
    from hwsim.report.render import rich_table

    show(lambda width: rich_table(table, width))


def show_facts(told: Iterable[tuple[str, str]]) -> None:
    """Print labelled lines."""
    from hwsim.report.facts import Fact
    from hwsim.report.render import fact_lines

    facts = [Fact(*fact) for fact in told]
    for line in fact_lines(facts, console().width):
        print(line)


def note(sentence: str) -> None:
    """Say a sentence on stderr."""
    from hwsim.report.words import printable

    print(f"hwsim: {printable(sentence)}", file=sys.stderr)


def whole(text: str, what: str) -> int:
    """Return a word of the command line as a whole number of one or more."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UsageError(f"{what} = {text}: must be a whole number >= 1")
    return int(text)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done once it has taken a second; yields the function that says what that is."""
    report = _Progress()
    try:
        yield report.at
    finally:
        report.close()


class _Progress:
    """A thread that writes a line when its patience is over: over and over in a terminal, seldom elsewhere."""

    def __init__(self) -> None:
        self._what = ""
        self._start = time.monotonic()
        self._done = threading.Event()
        self._lively = sys.stderr.isatty()
        self._shown = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def at(self, what: str) -> None:
        """Say what is being done from now on."""
        self._what = what

    def close(self) -> None:
        """Stop, and wipe what stands on the terminal."""
        self._done.set()
        self._thread.join()
        if self._shown and self._lively:
            self._write("\r\x1b[K")

    def _run(self) -> None:
        pause = PATIENCE_S
        while not self._done.wait(pause):
            seconds = time.monotonic() - self._start
            if self._lively:
                self._write(f"\r\x1b[Khwsim: {self._what} … {seconds:.0f} s")
                pause = 0.5
            else:
                self._write(f"hwsim: {self._what} … {seconds:.0f} s\n")
                pause = REMINDER_S
            self._shown = True

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
