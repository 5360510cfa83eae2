"""Writing files so that nothing is lost: a file is replaced by a complete one, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside `path`, which takes its place once it is complete and on the disk.

    Raises:
        OSError: if that fails; whatever was at `path` is then still there, as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone
        os.replace(temporary, path)
    except OSError as error:
        raise _in_words(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Raise the OSError that `write_whole` would, where its folder cannot be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as file:
            pass
        os.unlink(file.name)
    except OSError as error:
        raise _in_words(error, path) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others that ask for this lock waiting; it ends with the process, however that ends.

    Windows and some network drives lock no folder: there, have one process write at a time.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path):
    return tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix, delete=False
    )


def _in_words(error: OSError, path: Path) -> OSError:
    kept = "The file that was there is as it was" if os.path.exists(path) else "No file was made"
    reason = error.strerror or str(error)
    return OSError(error.errno, f"cannot write {path}: {reason}. {kept}")
