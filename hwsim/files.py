"""Files: only regular ones are read, and they are written whole: a reader sees the old or the new, never half of it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from hwsim.errors import HwsimError, UsageError


def need_regular(path: Path, error: type[HwsimError]) -> int:
    """Return a file's size [B]; refuse folders, and pipes and devices, which have no end or never answer.

    Args:
        path: The file; a link is followed.
        error: What to raise.

    Raises:
        HwsimError: As ``error``: there is no such file, or it is of another kind.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the name
        raise error(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{path}: is not a regular file")
    return status.st_size


def check_writable(*paths: Path | None) -> None:
    """Check that files can be written, before the work whose result they are to hold is done.

    Args:
        paths: Where to; None is passed over.

    Raises:
        UsageError: A folder does not exist or cannot be written to, or a path is a folder.
    """
    for path in paths:
        if path is None:
            continue
        folder = path.parent
        if path.is_dir():
            raise UsageError(f"cannot write {path}: it is a folder; name a file")
        if not folder.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {folder}; choose another place")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise UsageError(f"cannot write {path}: permission denied; choose another place")


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file under a temporary name in its folder, then rename it into place.

    A link is followed and stays; a device or a pipe (``/dev/stdout``) is written to, not replaced.

    Args:
        path: Where to.
        content: Text (written as UTF-8) or bytes.

    Raises:
        UsageError: The folder does not exist or cannot be written to, or the path is a folder.
    """
    data = content.encode() if isinstance(content, str) else content
    mode = _mode(Path(path))
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a folder; name a file")
    if (mode is not None and not stat.S_ISREG(mode)) or Path(path).parent == Path("/dev"):
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        return
    target = Path(os.path.realpath(path))
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask() if mode is None else stat.S_IMODE(mode))
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}; what was there is unchanged") from None


def _mode(path: Path) -> int | None:
    """Return the mode of what stands at a path, or None."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
