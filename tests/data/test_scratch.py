import errno
import os

import numpy as np
import pytest

from recency.data.scratch import is_mapped, scratch, smallest_integer


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_array_can_be_filled_wherever_it_lies(on_disk: bool) -> None:
    array = scratch(5, np.int32, on_disk=on_disk)
    array[:] = np.arange(5)
    assert array.tolist() == [0, 1, 2, 3, 4] and array.dtype == np.int32
    assert is_mapped(array) == is_mapped(array[1:]) == on_disk
    assert len(scratch(0, np.int32, on_disk=on_disk)) == 0


def test_a_full_disk_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        scratch(5, np.int32, on_disk=True)


def test_four_bytes_where_they_are_enough() -> None:
    assert smallest_integer(2**31 - 1) is np.int32 and smallest_integer(2**31) is np.int64
