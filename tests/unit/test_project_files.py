"""Files around the code agree with each other: version, commands, what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pairalign.version
from pairalign.checkpoint import read_sidecar

ROOT = Path(__file__).resolve().parents[2]
TESTS = "pip install -r requirements.txt -r tests/requirements.txt && python -m pytest"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version_everywhere():
    version = pairalign.version.__version__
    assert f"version: {version}\n" in read("CITATION.cff")
    assert f"## [{version}]" in read("CHANGELOG.md")


def test_readme_and_ci_run_the_same_tests():
    assert f"\n{TESTS}\n" in read(".ci/run")
    assert f"\n{TESTS}\n" in read("README.md") and f"\n{TESTS}\n" in read("CONTRIBUTING.md")


def test_the_workflow_runs_what_ci_runs_and_nothing_else():
    workflow = read(".github/workflows/ci.yml")
    assert re.findall(r"^ +(?:- )?run: (.+)$", workflow, re.MULTILINE) == ["sh .ci/run"]
    (versions,) = re.findall(r"python-version: \[(.+)\]", workflow)
    classifiers = re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))
    assert [one.strip(' "') for one in versions.split(",")] == classifiers


def test_the_citation_names_the_paper_and_the_software():
    citation = read("CITATION.cff")
    for needed in ("cff-version: 1.2.0", "PairAlign contributors", "2605.06582", "license: Apache-2.0"):
        assert needed in citation
    assert "2605.06582" in read("README.md")


def test_the_figures_in_the_readme_are_those_of_the_shipped_checkpoint():
    methods = read_sidecar("base")["metrics"]["evaluation"]["methods"]
    columns = ("pairalign", "viterbi", "viterbi_cost", "vq")
    rows = re.findall(r"^\| .+ \(`(\w+)`\) \| (.+) \|$", read("README.md"), re.MULTILINE)
    assert len(rows) == 5
    for measure, cells in rows:
        for method, cell in zip(columns, cells.split(" | "), strict=True):
            shown = cell.strip("* ")
            decimals = len(shown.partition(".")[2])
            assert f"{methods[method][measure]:.{decimals}f}".lstrip("0") == shown, f"{measure} of {method}"
    saved = methods["pairalign"]["archive_token_reduction"]
    assert f"({100 * saved:.0f} % fewer)" in read("README.md")


def test_the_tree_in_the_readme_names_what_there_is():
    (tree,) = re.findall(r"## The tree\n\n```text\n(.+?)```", read("README.md"), re.DOTALL)
    folder = ROOT
    for line in tree.splitlines():
        if opened := re.match(r"([\w./]+)/(?:\s|$)", line):
            folder = ROOT / opened[1]
        for name in re.findall(r"[\w/]+\.py", line):
            places = [ROOT / name, folder / name, *folder.rglob(name)]
            assert any(place.is_file() for place in places), f"{name} is not below {folder.name}/"
