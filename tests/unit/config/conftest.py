"""A small configuration that is right, for tests to break in one place."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

SITE = """\
site: {id: demo, name: {zh: 示例医院, en: Demo}, timezone: Asia/Shanghai}
keys: {passphrase: "env:DRMGR_PASSPHRASE"}
store: {kind: folder, path: repositories}
connections:
  his-main:
    engine: postgresql
    host: /run/his
    database: his
    user: drmgr
    password: "file:secrets/his"
  pacs-images: {engine: files, root: /srv/pacs}
restore:
  allow: {connections: [his-main]}
"""

JOB = """\
system: his
title: {zh: 医院信息系统, en: HIS}
tier: 1
objectives: {rpo: 1h, rto: 4h}
sources:
  - {name: main, kind: database, connection: his-main, newest: [{table: public.visit, column: at}]}
  - {name: scans, kind: files, connection: pacs-images, facts: sampled, exclude: ["*.tmp"]}
checks:
  - name: visits
    kind: sql
    title: {zh: 就诊, en: Visits}
    source: main
    sql: SELECT count(*) FROM visit
    expect: {at_least: 1}
  - {name: fresh, kind: freshness, title: {zh: 新, en: New}, source: main, table: public.visit, column: at}
  - name: images
    kind: dicom
    title: {zh: 影像, en: Images}
    index: {source: main, sql: SELECT path FROM image}
    files: scans
"""

DRILL = """\
drill: his-restore
title: {zh: 恢复, en: Restore}
scenario: server-lost
systems: [his]
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file below the working folder, which already holds a right configuration."""
    monkeypatch.chdir(tmp_path)

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    put("drmgr.yaml", SITE)
    put("jobs/his.yaml", JOB)
    put("drills/his-restore.yaml", DRILL)
    return put
