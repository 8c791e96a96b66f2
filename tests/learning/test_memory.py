"""What is free within a container."""

import numpy as np
import pytest

from tangentlens.learning.memory import free, of_container


def test_cached_files_count_as_free(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 200\nfile 700\ninactive_file 400\nactive_file 250\ninactive_anon 9\n")
    assert of_container(tmp_path) == 1000 - (900 - 650)


@pytest.mark.parametrize("limit", ["max\n", None])
def test_without_a_limit(tmp_path, limit):
    if limit:
        for name in ("memory.max", "memory.current", "memory.stat"):
            (tmp_path / name).write_text(limit if name == "memory.max" else "5\n")
    assert of_container(tmp_path) == np.inf
    assert free() > 0
