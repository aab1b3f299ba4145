"""``drmgr repo policy``: the least rights that a key of the object store needs."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from drmgr.cli.context import output, site
from drmgr.errors import UsageError


class Role(StrEnum):
    WRITER = "writer"
    KEEPER = "keeper"
    VERIFIER = "verifier"


def policy(
    context: typer.Context,
    role: Annotated[Role, typer.Argument(help="writer backs up, keeper protects, expires, rewinds, verifier drills.")],
) -> None:
    """Print the policy of a key with the least rights on this site's bucket, for the administrator of the store.

    None of them can delete a version or shorten a lock.
    """
    from drmgr.repository.policies import policy as rendered

    answers = output(context)
    with site(context) as opened:
        if opened.bucket is None:
            raise UsageError("the store of this site is a folder, and has no policies", hint="use the folder's rights")
        document = rendered(role.value, opened.bucket.settings.name, opened.store_prefix)
    answers.answer(
        document, lambda console: console.print(json.dumps(document, indent=2), markup=False, soft_wrap=True)
    )
