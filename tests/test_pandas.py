"""Tables of results as pandas data frames (needs pandas and pyarrow, which only the extra dev installs)."""

import numpy as np
import polars as pl
import pytest

import tangentlens as tl

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def tables():
    found = tl.audit(tl.small_reviews(), [tl.MLP(), tl.CNN(kernel_size=2)])
    trajectory = found.trajectories[1]
    at_start = trajectory.label_scores(0)
    assert at_start["half_step"].null_count() == at_start.height
    return {"audit": found.table, "label scores": trajectory.label_scores(), "at the start": at_start}


def test_tables_keep_columns_rows_and_types_in_pandas():
    for name, table in tables().items():
        frame = table.to_pandas()
        assert frame.columns.tolist() == table.columns, name
        assert frame.shape == table.shape
        for column, kind in table.schema.items():
            values = frame[column]
            if kind == pl.String:
                assert pd.api.types.is_string_dtype(values.dtype), (name, column)
                assert values.tolist() == table[column].to_list()
            else:
                assert values.dtype == (np.float64 if kind == pl.Float64 else np.int64), (name, column)
                np.testing.assert_array_equal(values.to_numpy(), table[column].fill_null(float("nan")).to_numpy())
