"""No damage to a file goes unnoticed, and other programs read sealed files."""

import json

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from rnnbench.errors import DamagedError
from rnnbench.records.files import as_arrow, as_parquet, read_whole
from rnnbench.records.seals import is_whole, sealed_json, sealed_yaml
from tests.records.jobs import flip

VALUE = {"format": "x", "runs": {"a": [1, 2.5, None]}}
SEALED = {
    "a.json": sealed_json(VALUE),
    "a.yaml": sealed_yaml(VALUE),
    "a.parquet": as_parquet([pa.table({"step": [1, 2], "value": [0.5, 0.25]})]),
    "a.arrow": as_arrow(pa.table({"step": [1, 2], "value": [0.5, 0.25]}), {"files": "b"}),
}


@pytest.mark.parametrize("name", SEALED)
def test_every_flipped_bit_is_noticed(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SEALED[name])
    assert read_whole(path) == SEALED[name]
    for bit in range(8 * len(SEALED[name])):
        flip(path, bit)
        with pytest.raises(DamagedError, match=f"{name} is damaged"):
            read_whole(path)
        flip(path, bit)


@pytest.mark.parametrize("name", SEALED)
def test_a_file_cut_short_or_lengthened_is_noticed(name):
    for length in range(len(SEALED[name])):
        assert not is_whole(name, SEALED[name][:length])
    assert not is_whole(name, SEALED[name] + b"\n")


def test_other_programs_read_sealed_files(tmp_path):
    assert {**json.loads(SEALED["a.json"]), "checksum": "x"} == {**VALUE, "checksum": "x"}
    assert yaml.safe_load(SEALED["a.yaml"]) == VALUE
    path = tmp_path / "a.parquet"
    path.write_bytes(SEALED["a.parquet"])
    assert pd.read_parquet(path)["value"].tolist() == [0.5, 0.25]
    path = tmp_path / "a.arrow"
    path.write_bytes(SEALED["a.arrow"])
    assert pd.read_feather(path)["value"].tolist() == [0.5, 0.25]
