"""File trees in the configuration: hooks, snapshots, pauses, and the order of sources that belong together."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drmgr.config.references import job_mistakes, source_mistakes
from drmgr.config.trees import FilesConnection


def test_commands_are_lists_of_arguments_and_snapshots_must_be_removed() -> None:
    lvm = {
        "create": [["lvcreate", "--snapshot", "--name", "drmgr", "vg/pacs"], ["mount", "/dev/vg/drmgr", "/mnt/drmgr"]],
        "path": "/mnt/drmgr/images",
        "remove": [["umount", "/mnt/drmgr"], ["lvremove", "--yes", "vg/drmgr"]],
    }
    made = FilesConnection.model_validate({"engine": "files", "root": "/srv/pacs/images", "snapshot": lvm})
    assert made.snapshot is not None
    assert made.snapshot.path == Path("/mnt/drmgr/images")
    assert made.snapshot.create[1] == ("mount", "/dev/vg/drmgr", "/mnt/drmgr")
    for wrong in ({**lvm, "remove": []}, {**lvm, "create": ["lvcreate -s vg/pacs"]}, {**lvm, "create": [[]]}):
        with pytest.raises(ValidationError):
            FilesConnection.model_validate({"engine": "files", "root": "/srv", "snapshot": wrong})
    with pytest.raises(ValidationError):
        FilesConnection.model_validate({"engine": "files", "root": "/srv", "hooks": {"before": [["stop"]]}})


INDEX = {"name": "index", "kind": "database", "connection": "a"}
IMAGES: dict[str, Any] = {"name": "images", "kind": "files", "connection": "b"}
CHECK = {"name": "c", "kind": "dicom", "index": {"source": "index", "sql": "SELECT path FROM q"}, "files": "images"}


@pytest.mark.parametrize(
    "more", [{"checks": [CHECK]}, {"checks": [{**CHECK, "kind": "files"}]}, {}], ids=["dicom", "files", "follows"]
)
def test_files_that_come_before_their_index_are_a_mistake(more: dict[str, Any]) -> None:
    images = IMAGES if more else {**IMAGES, "follows": ["index"]}
    assert job_mistakes({"sources": [INDEX, images], **more}) == []
    (mistake,) = job_mistakes({"sources": [images, INDEX], **more})
    assert mistake.loc == ("sources", 0)
    assert "put index first" in mistake.text
    assert job_mistakes({"sources": [images, INDEX], "pause": "pacs", **more}) == []


def test_what_is_followed_and_the_pause_must_be_there() -> None:
    (mistake,) = job_mistakes({"sources": [INDEX, {**IMAGES, "follows": ["indx"]}]})
    assert mistake.loc == ("sources", 1, "follows", 0)
    (mistake,) = source_mistakes({"pause": "pac", "sources": []}, {"pauses": {"pacs": {}}})
    assert mistake.text.endswith("did you mean pacs?")
