"""A job's tables from those of some of its members."""

from dataclasses import replace

import pandas as pd
import pytest

from initlab.tables.job_tables import JobTables, joined, read_tables
from tests.helpers import run


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> JobTables:
    folder = tmp_path_factory.mktemp("joined")
    with pytest.MonkeyPatch.context() as patch:
        command = "seeds=3 trainer.max_epochs=2 signal.every=1 n_jobs=1 logger=none name=study"
        assert run(command, patch, folder) == 0
    (members,) = folder.glob("outputs/study/*/members.parquet")
    return read_tables(members.parent)


@pytest.mark.parametrize("places", [[0, 1, 2], [5, 6, 7], [2, 0, 1]])
def test_the_only_part_comes_out_as_one_of_several(places: list[int], tables: JobTables) -> None:
    """Whatever its members are called, and in whatever order they stand; without the rows of some alone."""
    part = JobTables(
        **{
            name: table.assign(member=table["member"].map(dict(enumerate(places))))
            for name, table in tables.named().items()
        }
    )
    part = replace(part, members=part.members.iloc[::-1])
    for one in (part, replace(part, rows=part.named()["rows"].iloc[:2])):
        alone, beside = joined([one]).named(), joined([one, one]).named()
        assert list(alone) == list(beside)
        for name, table in beside.items():
            pd.testing.assert_frame_equal(alone[name], table, check_exact=True)
    assert joined([part]).members["member"].tolist() == [0, 1, 2]
