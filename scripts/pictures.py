"""The pictures of the READMEs: pages of reports that are set from the tests' made-up hospital. Run by ``make pictures``."""

import sys
import tempfile
from pathlib import Path

from drmgr.evidence.render import render, render_incident, render_report
from drmgr.system.command import Command, Runner
from tests.support.fake_catalog import FakeCatalog
from tests.unit.evidence import incidents, records, runbooks
from tests.unit.evidence.sealing import open_store
from tests.unit.evidence.test_quarter_report import data_of

PICTURES = Path(__file__).parents[1] / "docs/pictures"
DOTS_PER_INCH = 72
LARGEST = 150_000


def main() -> int:
    """Writes each page as a small PNG. Exit 1 when one is too large for a README."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drill = open_store(folder / "drill", FakeCatalog()).seal(records.passed())
        render_report(Path(drill.path), "drill", "zh", folder / "drill.pdf")
        render("quarter", "zh", data_of("zh"), folder / "quarter.pdf", name="quarter")
        render_incident(*incidents.sealed(folder / "incident"), "zh", folder / "incident.pdf")
        render("runbook", "zh", runbooks.data(), folder / "runbook.pdf", name="runbook")
        for stem, page in (("drill", 4), ("quarter", 2), ("incident", 2), ("runbook", 1)):
            where = ["-f", str(page), "-l", str(page), "-singlefile", str(folder / f"{stem}.pdf"), str(PICTURES / stem)]
            done = Runner().run(Command(("pdftoppm", "-r", str(DOTS_PER_INCH), "-png", *where)))
            if done.code != 0:
                sys.exit(done.stderr)
    large = [picture.name for picture in PICTURES.glob("*.png") if picture.stat().st_size > LARGEST]
    sys.stdout.write(f"too large: {', '.join(large)}\n" if large else "written\n")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
