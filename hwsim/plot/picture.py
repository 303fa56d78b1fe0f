"""Pictures as files: PNG, SVG and PDF, written whole, and the same bytes for the same report."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes

from hwsim.errors import UsageError
from hwsim.files import check_writable, write_whole
from hwsim.plot.sheet import style, whole_figure

# What each format would otherwise say of the time it was written.
_METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_picture(path: str | Path) -> Path:
    """Return where a picture goes, before time is spent on what it shows.

    Raises:
        UsageError: The suffix is no format's, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in _METADATA:
        what = f"suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise UsageError(f"cannot draw {path}: {what}; it must be one of {', '.join(_METADATA)}")
    check_writable(path)
    return path


def save(axes: Axes, path: str | Path) -> None:
    """Write the figure around axes to a file.

    Args:
        axes: What a plot function returned.
        path: Where to; its suffix names the format: .png, .svg or .pdf.

    Raises:
        UsageError: The suffix is no format's, or the file cannot be written.
    """
    path = check_picture(path)
    suffix = path.suffix.lower()
    content = io.BytesIO()
    with style():
        whole_figure(axes).savefig(content, format=suffix[1:], metadata=_METADATA[suffix])
    write_whole(path, content.getvalue())
