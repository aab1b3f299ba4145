"""What ``drmgr init`` writes is a configuration without mistakes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drmgr.config.load import load_site
from drmgr.config.models import FolderStore, ObjectLock, S3Store
from drmgr.config.template import example_files, site_template
from drmgr.config.values import SecretRef
from drmgr.errors import UsageError

STORE = S3Store(
    kind="s3",
    endpoint="http://127.0.0.1:8333",
    bucket="drmgr",
    access_key=SecretRef("env", "A"),
    secret_key=SecretRef("file", "secrets/b"),
    object_lock=ObjectLock(mode="governance", days=30),
)


@pytest.mark.parametrize("store", [FolderStore(kind="folder", path=Path("repositories")), STORE])
def test_the_template_loads_with_the_examples_beside_it(tmp_path: Path, store: FolderStore | S3Store) -> None:
    path = tmp_path / "drmgr.yaml"
    path.write_text(site_template("demo", "示例", "Demo", store=store), encoding="utf-8")
    assert load_site(path).site.store == store

    for name, path_of_example in example_files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(path_of_example.read_bytes())
    loaded = load_site(path)
    examples = example_files()
    assert len(loaded.jobs) == sum(name.startswith("jobs/") for name in examples)
    assert len(loaded.drills) == sum(name.startswith("drills/") for name in examples)


def test_without_a_store_the_repositories_lie_beside_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "drmgr.yaml"
    path.write_text(site_template("demo", "示例", "Demo", passphrase="file:p"), encoding="utf-8")
    loaded = load_site(path)
    assert loaded.site.store == FolderStore(kind="folder", path=Path("repositories"))
    assert loaded.site.keys.passphrase == SecretRef("file", "p")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(name=st.text(min_size=1, max_size=30))
@example(name='医院 "A" $x #1: 😀\\')
def test_any_name_is_written_so_that_it_is_read_back_or_refused(tmp_path: Path, name: str) -> None:
    try:
        text = site_template("demo", name, name)
    except UsageError:
        assert not name.strip() or not name.isprintable()
        return
    path = tmp_path / "drmgr.yaml"
    path.write_text(text, encoding="utf-8")
    found = load_site(path).site.site.name
    assert (found.zh, found.en) == (name, name)


@pytest.mark.parametrize(
    ("site_id", "timezone", "passphrase", "message"),
    [
        ("Demo Site", "UTC", "env:A", "^id must be a name"),
        ("demo", "Mars/Base", "env:A", "^timezone must be a time zone"),
        ("demo", "UTC", "hunter2", "^passphrase must be a reference"),
        ("demo", "UTC", "keystore:a", "^passphrase must be env:NAME or file:PATH"),
    ],
)
def test_what_would_not_load_is_not_written(site_id: str, timezone: str, passphrase: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        site_template(site_id, "示例", "Demo", timezone=timezone, passphrase=passphrase)
