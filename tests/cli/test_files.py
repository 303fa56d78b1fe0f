"""Files are written whole, or not at all."""

import os
import stat
import sys

import pytest

from hwsim.errors import UsageError
from hwsim.files import check_writable, write_whole

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def test_a_new_file_and_an_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "µ")
    assert path.read_bytes() == "µ".encode()
    write_whole(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@posix
def test_the_mode_is_that_of_the_old_file_or_of_any_new_one(tmp_path):
    plain, kept = tmp_path / "plain", tmp_path / "kept"
    plain.touch()
    kept.touch()
    kept.chmod(0o600)
    write_whole(kept, "x")
    write_whole(tmp_path / "new", "x")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode


@posix
def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    write_whole(link, "x")
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_text() == "x"


@posix
def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "hello")
        assert os.read(reader, 10) == b"hello"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_told(tmp_path):
    for path, said in [
        (tmp_path, "it is a folder"),
        (tmp_path / "no" / "file", "No such file or directory; choose another place"),
    ]:
        with pytest.raises(UsageError, match=said):
            write_whole(path, "x")


@posix
def test_whether_files_can_be_written_is_known_beforehand(tmp_path):
    check_writable(None, tmp_path / "new", None)
    (tmp_path / "old").touch()
    check_writable(tmp_path / "old")
    for path, said in [(tmp_path, "it is a folder"), (tmp_path / "no" / "file", "there is no folder .*no; choose")]:
        with pytest.raises(UsageError, match=said):
            check_writable(tmp_path / "new", path)
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


def test_an_old_file_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UsageError, match="No space left on device; what was there is unchanged"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
