"""Prism is built once, by a Go that verifies what it downloads, and found again; a stand-in for Go builds it here."""

from pathlib import Path

import apache_beam
import pytest

from jobs import cli
from jobs.cluster.maven import MavenSettings
from jobs.cluster.options import completed
from jobs.cluster.prism import build, prism_path
from pipeline.errors import CorpusmillError

GO = """#!/bin/sh
if [ "$1" = env ]; then echo "{sums}"; exit 0; fi
echo "$2" >> "{folder}/installed"
echo "go: downloading something" >&2
{end}
"""
BUILDS = 'printf binary > "$GOBIN/prism"'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/corpusmill"


def with_go(folder: Path, monkeypatch: pytest.MonkeyPatch, *, sums: str = "sum.golang.org", end: str = BUILDS) -> None:
    place = folder / "bin/go"
    place.parent.mkdir()
    place.write_text(GO.format(sums=sums, folder=folder, end=end), "utf-8")
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.parent}:/usr/bin:/bin")


def test_it_is_built_once_in_our_version_of_beam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_go(tmp_path, monkeypatch)
    assert build() == build() == prism_path()
    assert prism_path().read_text() == "binary"
    package = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}\n"
    assert (tmp_path / "installed").read_text() == package
    assert cli.main(["cluster", "prism"]) == 0
    assert str(prism_path()) in capsys.readouterr().out
    assert completed(["--runner=PrismRunner"], MavenSettings())[1:] == (f"--prism_location={prism_path()}",)


@pytest.mark.parametrize(
    ("wrong", "seconds", "said"),
    [
        ({"sums": "off"}, 60, "checksum database is switched off"),
        ({"end": "echo 'verifying module: checksum mismatch' >&2; exit 1"}, 60, "failed: verifying module: checksum mismatch"),
        ({"end": "exec sleep 60"}, 1, "took longer than 1 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, wrong: dict[str, str], seconds: int, said: str
) -> None:
    with_go(tmp_path, monkeypatch, **wrong)
    with pytest.raises(CorpusmillError, match=said):
        build(seconds=seconds)
    assert not cache.exists() or not list(cache.iterdir())


def test_no_go_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusmillError, match="there is no go on the PATH"):
        build()
