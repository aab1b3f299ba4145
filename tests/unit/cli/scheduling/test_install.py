"""Installing as an ordinary account: a block in the crontab, by a crontab program of the test."""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drmgr.cli.scheduling import install
from drmgr.cli.scheduling.install import Installer, environment_secrets
from drmgr.cli.wiring.wire import Site, open_site
from drmgr.config.load import load_site
from drmgr.errors import PreflightError

SITE = """
site: {id: test, name: {zh: 院, en: Hospital}, timezone: Asia/Shanghai}
keys: {passphrase: "file:passphrase"}
store: {kind: folder, path: repositories}
connections: {documents: {engine: files, root: documents}}
notify: {to: [{name: duty, url: "file:duty"}]}
"""
JOB = """
system: docs
title: {zh: 文书, en: Documents}
tier: 2
objectives: {rpo: 1h, rto: 2h}
schedule: {backup: "0 1 * * *", ship: "*/5 * * * *"}
sources: [{name: files, kind: files, connection: documents}]
"""
OTHERS = "MAILTO=me\n0 5 * * * other job\n"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "drmgr.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/docs.yaml").write_text(JOB, encoding="utf-8")
    with open_site(tmp_path / "drmgr.yaml") as site:
        yield site


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The account's crontab; there is none at first."""
    kept, programs = tmp_path / "crontab.kept", tmp_path / "bin"
    programs.mkdir()
    (programs / "crontab").write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then [ -e {kept} ] || {{ echo "no crontab for me" >&2; exit 1; }}; cat {kept}\n'
        f"else cat > {kept}; fi\n"
    )
    (programs / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(install, "UNITS", tmp_path / "units")
    return kept


def test_an_ordinary_account_gets_a_block_and_keeps_its_other_lines(opened: Site, crontab: Path) -> None:
    assert Installer(opened).installed() is None
    crontab.write_text(OTHERS)
    changes = Installer(opened).plan("cron")
    Installer(opened).apply(changes)
    text = crontab.read_text()
    assert text.startswith(OTHERS)
    assert "backup --due" in text
    # its source has no log: nobody is to be started for nothing
    assert "ship --due" not in text
    assert Installer(opened).plan("cron") == []
    assert Installer(opened).installed() == "cron"
    Installer(opened).apply(Installer(opened).plan(None))
    assert crontab.read_text() == OTHERS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_it_runs_as_the_account_whose_the_state_is_whoever_installs_it(opened: Site, tmp_path: Path) -> None:
    opened.state.mkdir(exist_ok=True)
    shutil.chown(opened.state, "nobody")
    into = tmp_path / "into"
    into.mkdir()
    for how, mark in (("systemd", "\nUser=nobody\n"), ("cron", " nobody /usr/bin/env ")):
        changes = Installer(opened, into).plan(how)
        assert any(mark in change.after for change in changes)
        assert not any("User=root" in change.after or " root /usr" in change.after for change in changes)


def test_the_textfile_of_metrics_is_written_as_long_as_the_site_file_names_one(opened: Site, tmp_path: Path) -> None:
    def with_textfile(path: str | None) -> Installer:
        text = f"{SITE}metrics: {{textfile: {path}}}\n" if path else SITE
        (tmp_path / "drmgr.yaml").write_text(text, encoding="utf-8")
        opened.loaded = load_site(tmp_path / "drmgr.yaml")
        opened.config = opened.loaded.site
        return Installer(opened, tmp_path / "into")

    for how, stem in (("cron", "drmgr-test"), ("systemd", "drmgr-test-metrics.service")):
        written = tmp_path / "into" / stem
        for path in ("figures/drmgr.prom", "/srv/other figures/drmgr.prom"):
            installer = with_textfile(path)
            changes = installer.plan(how)
            assert str(written) in [change.name for change in changes if change.diff]
            installer.apply(changes)
            assert installer.plan(how) == []
            place = opened.place(Path(path))
            assert f"metrics --textfile {shlex.quote(str(place)) if how == 'cron' else ''}" in written.read_text()
            assert how == "cron" or f"{place.parent}" in written.read_text()
        installer = with_textfile(None)
        installer.apply(installer.plan(how))
        assert not written.exists() or "--textfile" not in written.read_text()
        installer.apply(installer.plan(None))


def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(opened: Site, crontab: Path) -> None:
    program = crontab.parent / "bin/crontab"
    program.write_text("#!/bin/sh\necho 'you are not allowed to use this program' >&2\nexit 1\n")
    with pytest.raises(PreflightError, match="cannot be read"):
        Installer(opened).plan("cron")
    assert Installer(opened).installed() is None


def test_secrets_of_the_environment_are_found_wherever_they_stand(opened: Site, tmp_path: Path) -> None:
    assert environment_secrets(opened) == set()
    text = SITE.replace("file:duty", "env:DUTY").replace("file:passphrase", "env:PASS")
    (tmp_path / "drmgr.yaml").write_text(text, encoding="utf-8")
    with open_site(tmp_path / "drmgr.yaml") as changed:
        assert environment_secrets(changed) == {"DUTY", "PASS"}
