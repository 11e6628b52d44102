"""Benchmarks in memory: the same verdicts as objects and files, whatever the threads, as objects and as a table."""

from __future__ import annotations

import random
import threading
from collections import UserDict
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_rows import golden_rows, key_of, random_rows, write_lines, write_table

import envsim_core as ec


@pytest.fixture(scope="module")
def rows() -> tuple[list[dict[str, object]], dict[str, str | None]]:
    golden, random_ones = golden_rows(), random_rows(1500, seed=7)
    return golden[0] + random_ones[0], {row["sample_id"]: row["completion"] for row in golden[1] + random_ones[1]}


@pytest.fixture(scope="module")
def bench(
    rows: tuple[list[dict[str, object]], dict[str, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> ec.Benchmark:
    return ec.Benchmark.load(write_lines(tmp_path_factory.mktemp("benchmark") / "b.jsonl", rows[0]))


Rows = tuple[list[dict[str, object]], dict[str, str | None]]


def plain(verdicts: list[ec.Verdict]) -> list[dict[str, object]]:
    return [verdict.to_dict() for verdict in verdicts]


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_a_benchmark_says_what_the_objects_say(rows: Rows, bench: ec.Benchmark, threads: int | None) -> None:
    samples, completions = rows
    expected = ec.score_batch(samples, completions.values())
    assert plain(bench.score(list(completions.values()), threads)) == plain(expected)
    shuffled = dict(random.Random(2).sample(sorted(completions.items()), len(completions)))
    assert plain(bench.score(shuffled, threads)) == plain(expected)
    assert plain(bench.score(UserDict(shuffled), threads)) == plain(expected)
    assert pl.DataFrame(bench.score_arrow(shuffled, threads)).to_dicts() == [key_of(verdict) for verdict in expected]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 40))
def test_objects_benchmark_and_file_agree_on_random_rows(
    seed: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    samples, completions = random_rows(count, seed)
    folder = tmp_path_factory.mktemp("agree")
    write_lines(folder / "b", samples)
    write_lines(folder / "c", completions)
    answers = [row["completion"] for row in completions]
    objects = [key_of(verdict) for verdict in ec.score_batch(samples, answers)]
    ec.score_file(folder / "b", folder / "c", folder / "v.parquet", 2)
    assert pl.read_parquet(folder / "v.parquet").to_dicts() == objects
    assert pl.DataFrame(ec.Benchmark.load(folder / "b").score_arrow(answers)).to_dicts() == objects


def test_every_form_of_file_loads_the_same_samples(tmp_path: Path) -> None:
    samples, completions = random_rows(300)
    answers = [row["completion"] for row in completions]
    expected = plain(ec.score_batch(samples, answers))
    for path in (
        write_lines(tmp_path / "b.jsonl", samples),
        write_lines(tmp_path / "b.gz", samples),
        write_table(tmp_path / "b.parquet", samples),
    ):
        bench = ec.Benchmark.load(path, threads=2)
        assert len(bench) == 300
        assert bench.sample_ids == [row["sample_id"] for row in samples]
        assert plain(bench.score(answers)) == expected


def test_a_table_of_verdicts_is_read_by_polars_and_pyarrow_again_and_again(rows: Rows, bench: ec.Benchmark) -> None:
    table = bench.score_arrow(rows[1])
    frame, arrow = pl.DataFrame(table), pa.table(table)
    assert len(table) == frame.height == arrow.num_rows == len(bench)
    assert frame.to_dicts() == arrow.to_pylist() == pl.DataFrame(table).to_dicts()
    assert pa.schema(table) == arrow.schema
    assert frame.filter(pl.col("outcome") == ec.Outcome.UNPARSED).height == frame["outcome"].to_list().count("unparsed")
    assert frame.schema["config_match"] == pl.Boolean
    assert frame.schema["changed_f1"] == pl.Float64
    assert frame.schema["collateral"] == frame.schema["mismatch_operation"] == pl.Int64
    del table
    assert frame["sample_id"].to_list() == bench.sample_ids  # the columns outlive what they came from


def test_threads_share_a_benchmark(rows: Rows, bench: ec.Benchmark) -> None:
    expected = plain(bench.score(rows[1], 1))
    found: list[list[dict[str, object]]] = []
    workers = [threading.Thread(target=lambda: found.append(plain(bench.score(rows[1], 2)))) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 6


def test_completions_that_do_not_fit_are_refused_by_name(rows: Rows, bench: ec.Benchmark) -> None:
    completions = dict(rows[1])
    first = next(iter(completions))
    with pytest.raises(ec.UnknownName, match='no sample "sample-7-00001"; did you mean "sample-7-00'):
        bench.score(completions | {"sample-7-00001": ""})
    del completions[first]
    with pytest.raises(ValueError, match=rf"no completion for 1 samples, the first is '{first}'"):
        bench.score(completions)
    with pytest.raises(ValueError, match=f"{len(bench)} samples but 1 completions"):
        bench.score([""])
    with pytest.raises(TypeError, match="not int"):
        bench.score(dict(rows[1]) | {first: 3})
    with pytest.raises(TypeError, match="not int"):
        bench.score({3: ""})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="not one text"):
        bench.score("x" * len(bench))


def test_two_samples_with_one_id_are_refused_with_both_lines(tmp_path: Path) -> None:
    samples, _ = random_rows(600)
    samples[580] = samples[3]
    with pytest.raises(ec.BadFile, match=f'"{samples[3]["sample_id"]}" is the id of line 4 too') as caught:
        ec.Benchmark.load(write_lines(tmp_path / "b", samples))
    assert (caught.value.line, caught.value.field) == (581, "sample_id")


def test_a_long_mismatch_is_cut_where_a_table_shows_it(tmp_path: Path) -> None:
    sample = {"sample_id": "a", "state_before": {}, "state_after": {"k": "é" * 5000}, "observation": ""}
    table = ec.Benchmark.load(write_lines(tmp_path / "b", [sample])).score_arrow(['{"config_changes": []}'])
    expected = pl.DataFrame(table)["mismatch_expected"].item()
    assert len(expected.encode()) == ec.MAX_MISMATCH_BYTES
    assert expected.endswith("…")


def test_an_empty_benchmark_gives_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    bench = ec.Benchmark.load(tmp_path / "b")
    assert (len(bench), bench.score([]), pl.DataFrame(bench.score_arrow({})).shape) == (0, [], (0, 19))
