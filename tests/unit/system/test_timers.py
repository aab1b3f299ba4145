"""The texts that cron and systemd read."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.system.timers import Beat, Program, cron_lines, unit_files, with_block

BEATS = [Beat("backup", 1, ("backup", "--due")), Beat("drill", 5, ("drill", "run", "--due"))]
OTHERS = "# mine\nMAILTO=me\n0 5 * * * /usr/local/bin/other job\n"


def program(config: str = "/srv/dr mgr/100%/drmgr.yaml", site: str = "demo") -> Program:
    return Program(site, ("/opt/drmgr/bin/drmgr",), Path(config), (Path("/srv/dr mgr/state"),))


def test_a_block_is_put_in_replaced_and_taken_out_and_no_other_line_is_touched() -> None:
    lines = cron_lines(program(), BEATS, named=False)
    put = with_block(OTHERS, program(), lines)
    assert put.startswith(OTHERS)
    assert with_block(put, program(), lines) == put
    more = put + "5 5 * * * after\n"
    fewer = with_block(more, program(), cron_lines(program(), BEATS[:1], named=False))
    assert "drill" not in fewer
    assert "after" in fewer
    assert with_block(put, program(), []) == OTHERS
    assert with_block("", program(), []) == ""


def test_the_blocks_of_two_sites_of_one_name_are_told_apart() -> None:
    one, other = program("/a/drmgr.yaml"), program("/b/drmgr.yaml")
    both = with_block(
        with_block("", one, cron_lines(one, BEATS, named=False)), other, cron_lines(other, BEATS, named=False)
    )
    assert with_block(both, one, []) == with_block("", other, cron_lines(other, BEATS, named=False))


def test_a_block_without_an_end_is_not_guessed_at() -> None:
    broken = (
        with_block(OTHERS, program(), cron_lines(program(), BEATS, named=False)).rsplit("# END", 1)[0] + "0 1 * * * x\n"
    )
    with pytest.raises(ValueError, match="no end"):
        with_block(broken, program(), [])


def test_a_line_of_cron_is_quoted_and_carries_the_account_only_where_it_belongs() -> None:
    (_, _, backup, drill, _) = cron_lines(program(), BEATS, named=True)
    # %: cron's end of line
    assert backup.endswith(r"/opt/drmgr/bin/drmgr --config '/srv/dr mgr/100\%/drmgr.yaml' backup --due >/dev/null")
    assert backup.startswith("* * * * * root /usr/bin/env PATH=")
    assert drill.startswith("*/5 * * * * root ")
    assert cron_lines(program(), BEATS, named=False)[2].startswith("* * * * * /usr/bin/env")
    assert cron_lines(program(), [], named=True) == []


def test_a_service_sees_the_tmp_of_the_host_only_where_the_site_needs_it() -> None:
    (text, *_rest) = unit_files(program(), BEATS).values()
    assert "PrivateTmp=yes" in text
    (text, *_rest) = unit_files(replace(program(), shares_tmp=True), BEATS).values()
    assert "PrivateTmp" not in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_takes_the_units(tmp_path: Path) -> None:
    shell = Program("demo", ("/bin/sh",), Path("/srv/dr mgr/100%/drmgr.yaml"), (Path("/srv/dr mgr/state"),))
    for name, text in unit_files(shell, BEATS).items():
        (tmp_path / name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    assert len(units) == 4
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    times = subprocess.run(["systemd-analyze", "calendar", "*:0/1"], capture_output=True, text=True, check=False)
    assert times.returncode == 0
