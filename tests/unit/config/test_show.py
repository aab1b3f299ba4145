"""What is shown is what is in force, and never a secret."""

import json
import re
from pathlib import Path

import pytest

from drmgr.config.load import load_site
from drmgr.config.show import schema, show
from drmgr.errors import UsageError
from drmgr.model import Json
from tests.unit.config.conftest import Write


def test_effective_values_with_references_for_secrets(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRMGR_PASSPHRASE", "hunter2")
    write("secrets/his", "hunter2").chmod(0o600)
    shown = json.loads(json.dumps(show(load_site(Path("drmgr.yaml")))))

    assert "hunter2" not in json.dumps(shown)
    assert shown["file"] == str(tmp_path / "drmgr.yaml")
    assert shown["site"]["keys"] == {"directory": str(tmp_path / "keys"), "passphrase": "env:DRMGR_PASSPHRASE"}
    assert shown["site"]["connections"]["his-main"]["password"] == "file:secrets/his"
    assert shown["site"]["connections"]["his-main"]["port"] == 5432
    assert shown["site"]["connections"]["pacs-images"]["root"] == "/srv/pacs"
    his = shown["jobs"]["his"]
    assert his["objectives"] == {"rpo": "1h", "rto": "4h"}
    assert his["checks"][0]["expect"] == {"at_least": 1}
    assert his["checks"][1]["within"] == "1h"
    assert shown["drills"]["his-restore"]["point"] == "latest"


def test_one_system_comes_with_what_belongs_to_it(write: Write) -> None:
    sources = "sources: [{name: a, kind: files, connection: pacs-images}]"
    write(
        "jobs/pacs.yaml",
        f"system: pacs\ntitle: {{zh: 像, en: P}}\ntier: 2\nobjectives: {{rpo: 1h, rto: 4h}}\n{sources}\n",
    )
    loaded = load_site(Path("drmgr.yaml"))
    shown = show(loaded, "pacs")
    assert (list(shown["jobs"]), list(shown["site"]["connections"]), shown["drills"]) == (["pacs"], ["pacs-images"], {})
    assert set(show(loaded)["jobs"]) == {"his", "pacs"}
    with pytest.raises(UsageError, match="did you mean pacs"):
        show(loaded, "pcas")


def test_the_schemas_are_closed_described_and_complete() -> None:
    schemas = schema()
    assert set(schemas) == {"site", "job", "drill"}
    for document in schemas.values():
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        for part in (document, *document.get("$defs", {}).values()):
            assert part["additionalProperties"] is False
            assert all(field.get("description") for field in part["properties"].values()), part["title"]
        for reference in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(document)):
            assert reference in document["$defs"]
    assert schemas["job"]["required"] == ["system", "title", "tier", "objectives", "sources"]


def _patterns(of: Json) -> list[str]:
    if isinstance(of, dict):
        own = [of["pattern"]] if isinstance(of.get("pattern"), str) else []
        return own + [found for value in of.values() for found in _patterns(value)]
    return [found for value in of for found in _patterns(value)] if isinstance(of, list) else []


def test_the_patterns_of_the_schemas_are_those_of_json_schema() -> None:
    patterns = set(_patterns(list(schema().values())))
    assert len(patterns) >= 6
    assert not [pattern for pattern in patterns if r"\Z" in pattern]
    (duration,) = [pattern for pattern in patterns if "[0-9]{1,8})s" in pattern]
    assert re.search(duration, "1h30m")
    assert not re.search(duration, "")
    assert not re.search(duration, "1x")
