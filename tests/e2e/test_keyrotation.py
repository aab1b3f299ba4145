"""New repository passwords on a real repository: the old one opens nothing, and everything goes on."""

from pathlib import Path

from drmgr.evidence.store import load_document
from tests.support.site import Site


def test_passwords_and_master_key_are_renewed(site: Site) -> None:
    (before,) = site.repository_files("docs", "keys")
    # at first the old password cannot be revoked
    held = site.hold("restic", at="no such word")
    refuses = 'case "$*" in *"key remove"*) exit 1 ;; esac\nexec'
    held.script.write_text(held.script.read_text().replace("exec", refuses))
    (row,) = site.json("keys", "rotate", "--repositories", "docs", code=21)["repositories"]
    assert row["state"] == "failed"
    assert site.points("docs")
    assert len(site.repository_files("docs", "keys")) == 2
    # and the next call goes on where that one stopped
    site.edit(lambda document: document["restic"].update(program="restic"))
    (row,) = site.json("keys", "rotate", "--repositories", "docs")["repositories"]
    assert (row["state"], row["other_keys"]) == ("renewed", [])
    (after,) = site.repository_files("docs", "keys")
    assert after.name != before.name
    site.json("keys", "rotate", "--master")
    (info,) = [key for key in site.json("keys", "status", "--verify")["keys"] if key["name"] == "repository/docs"]
    assert info["version"] == 2
    drills = {name: site.json("drill", "run", f"{name}-restore")["drills"][0] for name in ("docs", "his")}
    assert {drill["verdict"] for drill in drills.values()} == {"passed"}
    sealed = {name: load_document(Path(drill["evidence"])).predicate for name, drill in drills.items()}
    (docs,), (his,) = (predicate["backup_set"] for predicate in sealed.values())
    # of its own repository, and not of the one that was renewed most often
    assert (docs["key_version"], his["key_version"], his["medium"]) == ("2", "1", "folder")
    site.refused(2, "keys", "rotate", "--master", "--repositories")
