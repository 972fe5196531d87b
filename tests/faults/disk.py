"""A disk that can be watched, filled, broken and cut off, under the real SQLite.

SQLite reaches files through a table of functions (`sqlite3_vfs`, `sqlite3_io_methods`). `Disk` puts
its own writes, truncations and syncs in place of the system's, for files of one folder. It knows of
each file what is on the disk for certain, because a sync has returned since, and which writes came
after that: a power loss may keep any of them, whole or in part, or none.
"""

import _sqlite3
import ctypes
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK, FULL = 0, 13
IOERR_WRITE, IOERR_FSYNC = 778, 1034
SECTOR = 512

_P, _I, _I64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, ctypes.POINTER(_I))
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _I64)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _I64)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", _I), ("close", _P), ("read", _P), ("write", _P), ("truncate", _P),
        ("sync", _P), ("rest", _P * 13),
    ]  # fmt: skip


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", _I), ("size", _I), ("longest", _I), ("next", _P), ("name", ctypes.c_char_p),
        ("data", _P), ("open", _P),
    ]  # fmt: skip


@dataclass
class _File:
    """What of a file is on the disk, and what came since: (offset, bytes) or (size, None)."""

    durable: bytearray
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)


@dataclass
class Image:
    """The files of a folder as a power loss may find them."""

    files: dict[str, tuple[bytes, list[tuple[int, bytes | None]]]]

    def lay(self, folder: Path, chance: random.Random, kept: float) -> None:
        """Write the files down; a write not synced is kept with a chance, or a part of it is."""
        folder.mkdir(parents=True)
        for name, (durable, pending) in self.files.items():
            content = bytearray(durable)
            for place, written in pending:
                if chance.random() < kept:
                    _apply(content, place, written)
                elif written and chance.random() < kept:
                    sectors = chance.randrange(len(written) // SECTOR + 1)
                    _apply(content, place, written[: sectors * SECTOR])
            (folder / name).write_bytes(content)


class Disk:
    """Watch what SQLite does to the files of a folder; see `watched`.

    Attributes:
        on_operation: Called before each write, truncation and sync, in the thread that makes it.
        fault: Called with ``"write"`` or ``"sync"`` and the file's name; gives the SQLite code of
            the error to report in place of doing it, or 0.
        n_syncs: Syncs that went well.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files: dict[str, _File] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []  # what SQLite points to
        self._tables: dict[int, Any] = {}
        self._lock = threading.RLock()
        self.on_operation: Callable[[], None] = lambda: None
        self.fault: Callable[[str, str], int] = lambda operation, name: OK
        self.n_syncs = 0

    def image(self) -> Image:
        """Take the state of this moment; what was deleted is gone, as SQLite syncs the folder."""
        with self._lock:
            return Image(
                {
                    name: (bytes(one.durable), list(one.pending))
                    for name, one in self._files.items()
                    if (self._folder / name).exists()
                }
            )

    def put_in(self) -> Callable[[], None]:
        """Put the disk under SQLite, and give what takes it away again."""
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        before = vfs.open
        system = _OPEN(before)

        # The name goes on as the pointer it is: SQLite keeps it for as long as the file is open.
        def open_file(of: int, name: int | None, file: int, flags: int, out: Any) -> int:
            path = None if name is None else Path(ctypes.string_at(name).decode())
            existed = path is not None and path.exists()
            code = system(of, name, file, flags, out)
            if code == OK and path is not None and path.parent == self._folder:
                self._follow(file, path, existed)
            return code

        ours = _OPEN(open_file)
        self._kept.append(ours)
        vfs.open = ctypes.cast(ours, _P).value

        def take_out() -> None:
            vfs.open = before

        return take_out

    def _follow(self, file: int, path: Path, existed: bool) -> None:
        with self._lock:
            self._names[file] = path.name
            if path.name not in self._files or not existed:
                self._files[path.name] = _File(bytearray(path.read_bytes()))
            methods = ctypes.cast(file, ctypes.POINTER(_P))
            table = methods[0]
            assert table is not None
            if table not in self._tables:
                self._tables[table] = self._watching(table)
            methods[0] = ctypes.addressof(self._tables[table])

    def _watching(self, table: int) -> _Methods:
        """Copy a table of functions, with ours in place of three of them."""
        ours = _Methods.from_buffer_copy(_Methods.from_address(table))
        write, truncate, sync = _WRITE(ours.write), _TRUNCATE(ours.truncate), _SYNC(ours.sync)

        def write_file(file: int, data: int, size: int, place: int) -> int:
            written = ctypes.string_at(data, size)
            return self._do("write", file, lambda: write(file, data, size, place), place, written)

        def truncate_file(file: int, size: int) -> int:
            return self._do("write", file, lambda: truncate(file, size), size, None)

        def sync_file(file: int, flags: int) -> int:
            return self._do("sync", file, lambda: sync(file, flags))

        functions = _WRITE(write_file), _TRUNCATE(truncate_file), _SYNC(sync_file)
        self._kept.append(functions)
        ours.write, ours.truncate, ours.sync = (ctypes.cast(one, _P).value for one in functions)
        return ours

    def _do(
        self,
        operation: str,
        file: int,
        do: Callable[[], int],
        place: int = 0,
        written: bytes | None = None,
    ) -> int:
        name = self._names[file]
        self.on_operation()
        if code := self.fault(operation, name):
            return code
        code = do()
        with self._lock:
            record = self._files[name]
            if code == OK and operation == "write":
                record.pending.append((place, written))
            elif code == OK:
                self.n_syncs += 1
                for one in record.pending:
                    _apply(record.durable, *one)
                record.pending = []
        return code


@contextmanager
def watched(folder: Path) -> Iterator[Disk]:
    """Put a disk under SQLite for the files of a folder.

    Those that are open when the block ends go on through it.
    """
    disk = Disk(folder)
    take_out = disk.put_in()
    _ALL.append(disk)  # SQLite may call it until its last file is closed
    try:
        yield disk
    finally:
        take_out()
        disk.on_operation, disk.fault = (lambda: None), (lambda operation, name: OK)


_ALL: list[Disk] = []


def _apply(content: bytearray, place: int, written: bytes | None) -> None:
    if written is None:
        del content[place:]
        content.extend(bytes(max(0, place - len(content))))
        return
    if len(content) < place + len(written):
        content.extend(bytes(place + len(written) - len(content)))
    content[place : place + len(written)] = written
