"""Whole files: streamed, in order, restartable, and every fault named by file, line and field."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from random_rows import golden_rows, key_of, random_rows, write_lines, write_table

import envsim_core as ec

ROOT = Path(__file__).parents[1]
Rows = list[dict[str, Any]]


def score_lines(folder: Path, samples: Rows, completions: Rows, threads: int | None = None) -> tuple[bytes, ec.Summary]:
    folder.mkdir(parents=True, exist_ok=True)
    benchmark = write_lines(folder / "benchmark.jsonl", samples)
    answers = write_lines(folder / "completions.jsonl", completions)
    summary = ec.score_file(benchmark, answers, folder / "verdicts.parquet", threads)
    return (folder / "verdicts.parquet").read_bytes(), summary


@pytest.fixture(scope="module")
def rows() -> tuple[Rows, Rows]:
    golden, random_ones = golden_rows(), random_rows(1500)
    pairs = list(zip(golden[0] + random_ones[0], golden[1] + random_ones[1], strict=True))
    # A table holds no lone surrogates, so these rows have forms of their own (below).
    pairs = [pair for pair in pairs if is_encodable(pair[0]["observation"]) and is_encodable(pair[1]["completion"])]
    return [row for row, _ in pairs], [row for _, row in pairs]


def is_encodable(text: str | None) -> bool:
    return text is None or text == text.encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def whole(rows: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return score_lines(tmp_path_factory.mktemp("whole"), *rows)[0]


def test_a_file_says_what_the_objects_say(tmp_path: Path) -> None:
    golden, random_ones = golden_rows(), random_rows(1500)
    rows = golden[0] + random_ones[0], golden[1] + random_ones[1]
    data, summary = score_lines(tmp_path, *rows)
    table = pl.read_parquet(tmp_path / "verdicts.parquet")
    verdicts = ec.score_batch(rows[0], [row["completion"] for row in rows[1]])
    assert table.to_dicts() == [key_of(verdict) for verdict in verdicts]
    assert pq.read_table(tmp_path / "verdicts.parquet").to_pylist() == table.to_dicts()
    assert data[:4] == b"PAR1"
    counted = summary.to_dict()
    assert counted["rows"] == len(verdicts) == sum(counted["outcomes"].values()) == sum(counted["failures"].values())
    for outcome in ec.Outcome:
        assert counted["outcomes"][outcome] == sum(verdict.outcome == outcome for verdict in verdicts)
    for failure in ec.Failure:
        assert counted["failures"][failure] == sum(verdict.failure == failure for verdict in verdicts)
    assert summary.config_match == sum(verdict.config_match is True for verdict in verdicts)
    assert summary.feedback_match == sum(verdict.feedback_match is True for verdict in verdicts)
    assert summary.silent_corruption == sum(verdict.silent_corruption is True for verdict in verdicts)
    assert summary == score_lines(tmp_path, *rows)[1]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_number_of_threads_does_not_show(
    rows: tuple[Rows, Rows], whole: bytes, threads: int, tmp_path: Path
) -> None:
    assert score_lines(tmp_path, *rows, threads)[0] == whole


@pytest.mark.parametrize("form", ["gz", "zst", "parquet"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_form_of_input_gives_the_same_bytes(
    rows: tuple[Rows, Rows], whole: bytes, form: str, shuffled: bool, tmp_path: Path
) -> None:
    samples, completions = rows
    if shuffled:
        completions = random.Random(5).sample(completions, len(completions))
    paths = []
    for name, content in (("benchmark", samples), ("completions", completions)):
        path = tmp_path / f"{name}.{form}"
        if form == "parquet":
            write_table(path, content)
        elif form == "gz":
            write_lines(path, content)
        else:
            import pyarrow as pa

            plain = write_lines(tmp_path / "plain", content)
            with pa.CompressedOutputStream(str(path), "zstd") as out:
                out.write(plain.read_bytes())
        paths.append(path)
    ec.score_file(paths[0], paths[1], tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == whole


@pytest.mark.parametrize("threads", [1, 4])
def test_completions_in_any_order_are_found(
    rows: tuple[Rows, Rows], whole: bytes, threads: int, tmp_path: Path
) -> None:
    shuffled = random.Random(1).sample(rows[1], len(rows[1]))
    assert score_lines(tmp_path / "all", rows[0], shuffled, threads)[0] == whole
    late = [*rows[1][:-2], rows[1][-1], rows[1][-2]]  # the order breaks only at the very end
    assert score_lines(tmp_path / "late", rows[0], late, threads)[0] == whole


def test_an_id_may_stand_anywhere_in_its_row(rows: tuple[Rows, Rows], whole: bytes, tmp_path: Path) -> None:
    moved = [dict(reversed(row.items())) for row in rows[0]]
    shuffled = random.Random(2).sample(rows[1], len(rows[1]))
    assert score_lines(tmp_path, moved, shuffled)[0] == whole
    # A repeated key keeps its last value: the id at the front is not the id of the row.
    lines = [json.dumps(row)[:1] + '"sample_id": "' + rows[0][at - 1]["sample_id"] + '", ' + json.dumps(row)[1:]
             for at, row in enumerate(rows[0])]  # fmt: skip
    (tmp_path / "benchmark.jsonl").write_text("\n".join(lines))
    ec.score_file(tmp_path / "benchmark.jsonl", tmp_path / "completions.jsonl", tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == whole


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    samples, completions = random_rows(3)
    for name, content in (("b", samples), ("c", completions)):
        text = "\n\n" + "\r\n \t\r\n".join(json.dumps(row) for row in content)
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet").rows == 3


def test_no_rows_are_a_table_without_rows(tmp_path: Path) -> None:
    _, summary = score_lines(tmp_path, [], [])
    assert summary.rows == 0
    assert pl.read_parquet(tmp_path / "verdicts.parquet").shape == (0, 19)


GOOD = (
    {"sample_id": "a", "state_before": {}, "state_after": {}, "observation": ""},
    {"sample_id": "a", "completion": ""},
)


def poison(benchmark: bytes, completions: bytes, field: str | None, line: int | None, why: str, where: str) -> Any:
    return pytest.param(benchmark, completions, where, line, field, why, id=why)


def lines(*rows: dict[str, Any] | str) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def sample(key: Any = "a", **changes: Any) -> dict[str, Any]:
    return GOOD[0] | {"sample_id": key} | changes


def answer(key: Any = "a", **changes: Any) -> dict[str, Any]:
    return GOOD[1] | {"sample_id": key} | changes


def without(row: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != field}


POISONED = [
    poison(lines(sample(), "{nonsense"), lines(answer(), answer("b")), None, 2, "not JSON", "b"),
    poison(lines(sample(), "[1]"), lines(answer(), answer("b")), None, 2, "is not an object", "b"),
    poison(lines(without(sample(), "sample_id")), lines(answer()), "sample_id", 1, "is missing", "b"),
    poison(lines(sample(7)), lines(answer()), "sample_id", 1, "is not a text", "b"),
    poison(lines("", without(sample(), "state_after")), lines(answer()), "state_after", 2, "is missing", "b"),
    poison(lines(sample(state_before=[])), lines(answer()), "state_before", 1, "is not an object", "b"),
    poison(lines(sample(observation=None)), lines(answer()), "observation", 1, "is not a text", "b"),
    poison(lines(sample(volatile=[1])), lines(answer()), "volatile", 1, "is not a list of paths", "b"),
    poison(b'{"sample_id": "\xff"}\n', lines(answer()), None, 1, "not UTF-8 at byte 15", "b"),
    poison(lines('{"sample_id": "\\ud800", "state_before": {}, "state_after": {}, "observation": ""}'),
           lines('{"sample_id": "\\ud800", "completion": ""}'), "sample_id", 1, "lone surrogate", "b"),
    poison(lines(sample(), sample("b"), sample()), lines(answer(), answer("b"), answer()), "sample_id", 3,
           'id of line 1 too', "b"),
    poison(lines(sample()), lines("{"), None, 1, "not JSON: ", "c"),
    poison(lines(sample()), lines("3"), None, 1, "is not a JSON object", "c"),
    poison(lines(sample()), lines(without(answer(), "sample_id")), "sample_id", 1, "is missing", "c"),
    poison(lines(sample()), lines(answer(False)), "sample_id", 1, "is not a text", "c"),
    poison(lines(sample()), lines(without(answer(), "completion")), "completion", 1, "is missing", "c"),
    poison(lines(sample()), lines(answer(completion={})), "completion", 1, "is not a text", "c"),
    poison(lines(sample()), b'{"sample_id": "a", "completion": "\xc3\x28"}', None, 1, "not UTF-8 at byte 34", "c"),
    poison(lines(sample()), lines(answer(), "", answer("b")), "sample_id", 3, 'id of no sample of', "c"),
    poison(lines(sample()), lines(answer(), answer()), "sample_id", 2, 'id of line 1 too', "c"),
    poison(lines(sample(), sample("b")), lines(answer()), "sample_id", None, 'no row for the sample "b"', "c"),
    poison(lines(sample()), b"", "sample_id", None, 'no row for the sample "a"', "c"),
    poison(gzip.compress(lines(*map(sample, "abcdefghi")))[:-9], lines(answer()), None, 9, "ends too early", "b"),
    poison(lines(sample()), gzip.compress(lines(answer()))[:20], None, 1, "ends too early", "c"),
    poison(b"\x28\xb5\x2f\xfd\x04\x00", lines(answer()), None, 1, "ends too early", "b"),
    poison(b"PAR1 but no more", lines(answer()), None, None, "not a readable Parquet file", "b"),
]  # fmt: skip


@pytest.mark.parametrize(("benchmark", "completions", "where", "line", "field", "why"), POISONED)
def test_a_poisoned_file_is_named_with_line_and_field(
    benchmark: bytes, completions: bytes, where: str, line: int | None, field: str | None, why: str, tmp_path: Path
) -> None:
    (tmp_path / "b").write_bytes(benchmark)
    (tmp_path / "c").write_bytes(completions)
    with pytest.raises(ec.BadFile, match=why) as caught:
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet")
    assert (caught.value.path, caught.value.line, caught.value.field) == (str(tmp_path / where), line, field)
    assert not (tmp_path / "v.parquet").exists()
    if where == "b" and "id of line" not in why and "no row" not in why:
        with pytest.raises(ec.BadFile) as loaded:
            ec.Benchmark.load(tmp_path / "b")
        assert (loaded.value.line, loaded.value.field) == (line, field)


def test_the_first_bad_row_is_the_one_that_is_named_whatever_the_threads(tmp_path: Path) -> None:
    samples, completions = random_rows(5000)
    del samples[1234]["observation"], samples[4321]["observation"]
    for threads in (1, 2, 8):
        with pytest.raises(ec.BadFile, match="observation: is missing") as caught:
            score_lines(tmp_path, samples, completions, threads)
        assert caught.value.line == 1235


def test_a_table_without_its_columns_is_refused_by_name(tmp_path: Path) -> None:
    samples, completions = random_rows(3)
    write_lines(tmp_path / "c", completions)
    write_table(tmp_path / "b", [without(row, "state_after") for row in samples])
    with pytest.raises(ec.BadFile, match="state_after: is missing"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet")
    pl.DataFrame(samples[:1]).write_parquet(tmp_path / "b")
    with pytest.raises(ec.BadFile, match=r"state_before: is a column of .* not of text"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet")
    rows = [row | {"state_before": '{}, "state_after": {}'} for row in samples]
    write_table(tmp_path / "b", rows)
    with pytest.raises(ec.BadFile, match="state_before: not JSON"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet")


def test_files_that_are_not_there_or_not_to_be_written_are_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "b", [GOOD[0]])
    write_lines(tmp_path / "c", [GOOD[1]])
    with pytest.raises(ec.BadFile, match="cannot be read") as caught:
        ec.score_file(tmp_path / "b", tmp_path / "missing", tmp_path / "v.parquet")
    assert caught.value.path == str(tmp_path / "missing")
    with pytest.raises(ec.BadFile, match="is an input too"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "c")
    with pytest.raises(ec.BadFile, match="is a folder"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path)
    with pytest.raises(ec.BadFile, match="cannot be written"):
        ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "b" / "v.parquet")
    assert ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "new" / "folder" / "v.parquet").rows == 1


def test_progress_only_grows_and_ends_at_the_end(tmp_path: Path) -> None:
    samples, completions = random_rows(4000, padding=2000)
    write_lines(tmp_path / "b", samples)
    write_lines(tmp_path / "c", completions)
    seen: list[tuple[int, int, int]] = []
    ec.score_file(tmp_path / "b", tmp_path / "c", tmp_path / "v.parquet", progress=lambda *at: seen.append(at))
    total = (tmp_path / "b").stat().st_size + (tmp_path / "c").stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (4000, total, total)
    assert {at[2] for at in seen} == {total}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 000 rows, their verdicts, and those rows with the completions in another order."""
    folder = tmp_path_factory.mktemp("long")
    samples, completions = random_rows(20_000, padding=1500)
    write_lines(folder / "b", samples)
    write_lines(folder / "c", completions)
    write_lines(folder / "shuffled", random.Random(3).sample(completions, len(completions)))
    ec.score_file(folder / "b", folder / "c", folder / "whole.parquet")
    return folder


KILLED = """
import os, signal, sys
import envsim_core as ec
def progress(rows, *_):
    if rows >= 5000:
        os.kill(os.getpid(), signal.SIGKILL)
ec.score_file(*sys.argv[1:4], threads=int(sys.argv[4]), progress=progress)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("completions", ["c", "shuffled"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    long: Path, completions: str, threads: int, tmp_path: Path
) -> None:
    target = tmp_path / "v.parquet"
    command = [sys.executable, "-c", KILLED, str(long / "b"), str(long / completions), str(target), str(threads)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert (tmp_path / ".v.parquet.partial" / "part-00000.parquet").exists()
    seen: list[int] = []
    summary = ec.score_file(long / "b", long / completions, target, threads, lambda rows, *_: seen.append(rows))
    assert min(seen) >= 4096
    assert target.read_bytes() == (long / "whole.parquet").read_bytes()
    assert summary.rows == 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def interrupt(target: Path, benchmark: Path, completions: Path) -> None:
    def progress(rows: int, *_: int) -> None:
        if rows >= 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ec.score_file(benchmark, completions, target, 2, progress)
    assert not target.exists()


def test_an_interrupted_run_starts_anew_when_an_input_has_changed(long: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.parquet"
    interrupt(target, long / "b", long / "c")
    empty = [{"sample_id": f"sample-0-{at:06d}", "completion": ""} for at in range(20_000)]
    summary = ec.score_file(long / "b", write_lines(tmp_path / "c", empty), target)
    assert summary.outcomes["refused"] == 20_000
    assert set(pl.read_parquet(target)["outcome"]) == {"refused"}


def test_a_broken_row_group_is_scored_again(long: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.parquet"
    interrupt(target, long / "b", long / "c")
    part = tmp_path / ".v.parquet.partial" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    ec.score_file(long / "b", long / "c", target)
    assert target.read_bytes() == (long / "whole.parquet").read_bytes()


def test_two_runs_do_not_write_one_file(long: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.parquet"
    refused: list[ec.BadFile] = []

    def progress(*_: int) -> None:
        if not refused:
            with pytest.raises(ec.BadFile, match="another run is writing this file") as caught:
                ec.score_file(long / "b", long / "c", target)
            refused.append(caught.value)

    ec.score_file(long / "b", long / "c", target, progress=progress)
    assert refused
    assert target.read_bytes() == (long / "whole.parquet").read_bytes()


def test_ctrl_c_stops_a_run(long: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys, envsim_core as ec\n"
        "def progress(rows, *_):\n    rows >= 100 and signal.raise_signal(signal.SIGINT)\n"
        "try:\n    ec.score_file(*sys.argv[1:4], progress=progress)\nexcept KeyboardInterrupt:\n    print('stopped')\n"
    )
    command = [sys.executable, "-c", code, str(long / "b"), str(long / "c"), str(tmp_path / "v.parquet")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "stopped\n"
    assert not (tmp_path / "v.parquet").exists()


PEAK = """
import sys
import envsim_core as ec
ec.score_file(*sys.argv[1:4], threads=2)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the peak from /proc")
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_peak_of_memory_does_not_grow_with_the_file(shuffled: bool, tmp_path: Path) -> None:
    samples, completions = random_rows(500, padding=300)
    id_length = len('{"sample_id": "sample-0-000000"')
    texts = [[json.dumps(row)[id_length:] for row in rows] for rows in (samples, completions)]
    peaks = []
    for count in (10_000, 100_000):
        order = list(range(count))
        with open(tmp_path / "b", "w") as b, open(tmp_path / "c", "w") as c:
            b.writelines(f'{{"sample_id": "s{at}"{texts[0][at % 500]}\n' for at in order)
            order = order[::-1] if shuffled else order
            c.writelines(f'{{"sample_id": "s{at}"{texts[1][at % 500]}\n' for at in order)
        command = [sys.executable, "-c", PEAK, str(tmp_path / "b"), str(tmp_path / "c"), str(tmp_path / "v.parquet")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    index = 32 * 100_000 // 1024 if shuffled else 0  # completions out of order are looked up by hash and place
    assert peaks[1] <= 1.1 * peaks[0] + index, peaks
