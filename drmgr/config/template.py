"""The first site file and the example jobs and drills that ``drmgr init`` writes."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from pydantic import ValidationError

from drmgr.config.models import BilingualText, FolderStore, Keys, S3Store, Site
from drmgr.config.values import SecretRef
from drmgr.errors import UsageError


def site_template(
    site_id: str,
    name_zh: str,
    name_en: str,
    *,
    timezone: str = "Asia/Shanghai",
    store: FolderStore | S3Store | None = None,
    passphrase: str = "env:DRMGR_PASSPHRASE",  # noqa: S107 - a reference
) -> str:
    """A commented site file that passes ``load_site`` as it is; ``store`` None means a folder beside it.

    Raises UsageError when a value would not be taken.
    """
    try:
        site = Site(id=site_id, name=BilingualText(zh=name_zh, en=name_en), timezone=timezone)
        keys = Keys(passphrase=SecretRef.parse(passphrase))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = str(first.get("ctx", {}).get("error", first["msg"]))
        raise UsageError(f"{'.'.join(map(str, first['loc']))} {what}") from error
    except ValueError as error:
        raise UsageError(f"passphrase {error}") from error
    template = Template(files("drmgr.config").joinpath("templates/drmgr.yaml").read_text(encoding="utf-8"))
    return template.substitute(
        site_id=site.id,
        name_zh=_quoted(site.name.zh),
        name_en=_quoted(site.name.en),
        timezone=_quoted(site.timezone),
        passphrase=_quoted(str(keys.passphrase)),
        store=_store(store or FolderStore(kind="folder", path=Path("repositories"))),
    )


def example_files() -> Mapping[str, Path]:
    """The example jobs and drills: ``jobs/NAME.yaml`` and ``drills/NAME.yaml`` to the file that holds it."""
    package = Path(str(files("drmgr")))
    # a wheel carries them inside the package, a checkout beside it
    root = package / "examples" if (package / "examples").is_dir() else package.parent
    return {
        f"{folder}/{path.name}": path
        for folder in ("jobs", "drills")
        for path in sorted((root / folder).glob("*.yaml"))
    }


def _store(store: FolderStore | S3Store) -> str:
    values = store.model_dump(mode="json", exclude_none=True)
    return "\n".join(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
