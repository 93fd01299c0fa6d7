"""What is read from others: results made elsewhere, and sections of studies of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.report.external import analyse_table
from mtlsweep.report.sections import read_csv, read_json, read_sections
from tests.reporting.own_study import write_section

# A table


def write(path: Path, *rows: str, columns: str = "") -> Path:
    path.write_text("\n".join((f"weighting,optimizer,lr,seg_miou,depth_err,time{columns}", *rows)))
    return path


def test_a_table_is_answered_in_the_terminal_row_by_row_and_in_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(tmp_path / "mine.csv", "stl,adam,0.01,0.5,0.2,9", "uw,adam,0.01,0.45,0.2,9", "ew,adam,0.1,0.5,0.1,9")
    monkeypatch.chdir(tmp_path)
    lines = analyse_table(table, [], "stl", None).splitlines()
    assert lines[:3] == [
        "Better is: seg_miou higher, depth_err lower.",
        "Left out: time. If one is a metric, name it with --higher or --lower.",
        "Δm in percent against the baseline, positive = worse:",
    ]
    rows = [line.split() for line in lines[5:7]]
    assert [(row[0], float(row[4])) for row in rows] == [("ew", -25.0), ("uw", 5.0)], "best first"
    assert any(
        line.startswith("Lowest Δm in the table: ew with adam at learning rate 0.1; it is 25.00 % better")
        for line in lines
    )
    assert list(tmp_path.iterdir()) == [table], "nothing is written"
    assert "Left out" not in analyse_table(table, ["time"], "stl", None)


@pytest.mark.parametrize(
    ("deviations", "said", "unsaid"),
    [
        (
            ("0.1", "0.1"),
            "Of the printed means ew is lowest (-25.00 %). 1 of 1 others differ from it by more than chance (t test, noise pooled "
            "over the deviations of all rows",
            "Not told apart",
        ),
        (("40", "40"), "Not told apart from ew: uw.", "1 of 1 others"),
        (
            ("1", "1"),
            "Whether ew is better or worse than single-task learning is decided by its seeds (95 % interval -27.48 to",
            "open",
        ),
        (("40", ""), "noise pooled over the deviations of 1 of the rows", "decided"),
        (("", "40"), "0 of 1 others differ", "Whether"),
        (("", ""), "Lowest Δm in the table: ew", "printed means"),
    ],
    ids=["told apart", "tied", "decided", "one deviation", "unknown interval", "no deviation"],
)
def test_what_printed_means_and_deviations_can_claim_is_said(
    tmp_path: Path, deviations: tuple[str, str], said: str, unsaid: str
) -> None:
    best, other = deviations
    table = write(
        tmp_path / "printed.csv", "stl,adam,0.01,0.5,0.2,9,0,,3", f"uw,adam,0.01,0.45,0.2,9,5,{other},3",
        f"ew,adam,0.1,0.5,0.1,9,-25,{best},3", columns=",delta_m,delta_m_std,seeds",
    )  # fmt: skip
    text = analyse_table(table, [], "stl", None)
    assert said in text and unsaid not in text
    assert "given_delta_m" in text, "beside ours"


# Sections


def test_a_section_of_ones_own_is_its_sentences_tables_and_figures(tmp_path: Path) -> None:
    write_section(tmp_path / "toy")
    write_section(tmp_path / "another")
    another, toy = read_sections(tmp_path)
    assert (another.name, toy.name, toy.title) == ("another", "toy", "Toy problem")
    assert toy.sentences == ("Adam with EW needs 22 iterations.",)
    assert [[cell.text for cell in row] for row in toy.tables[0].rows] == [["ew", "22"]]
    assert (toy.figures[0].name, toy.figures[0].seen) == ("loss", "Falls from 3 to 1.")
    assert read_sections(tmp_path / "empty") == ()


@pytest.mark.parametrize(("victim", "message"), [("loss.json", "which is missing"), ("section.json", "is damaged")])
def test_a_broken_section_is_named(tmp_path: Path, victim: str, message: str) -> None:
    write_section(tmp_path / "toy")
    if victim == "section.json":
        (tmp_path / "toy" / victim).write_text('{"title": "Toy problem"}')
    else:
        (tmp_path / "toy" / victim).unlink()
    with pytest.raises(UserError, match=message):
        read_sections(tmp_path)


@pytest.mark.parametrize(("read", "damaged"), [(read_csv, ""), (read_csv, "a,b\n1,2\n1,2,3,4\n"), (read_json, "{")])
def test_a_file_of_a_study_that_is_missing_or_damaged_is_named_with_the_next_step(
    tmp_path: Path, read: Callable[[Path], object], damaged: str
) -> None:
    with pytest.raises(UserError, match=r"^`.*/lost` is missing; run `dvc repro` to make it\.$"):
        read(tmp_path / "lost")
    (tmp_path / "broken").write_text(damaged)
    with pytest.raises(UserError, match=r"^`.*/broken` is damaged \(.*\); delete it and run `dvc repro`\.$"):
        read(tmp_path / "broken")
