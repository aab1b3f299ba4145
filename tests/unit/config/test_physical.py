"""What the site file must say of a connection whose files are backed up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.config.load import load_site
from drmgr.errors import ConfigError
from tests.unit.config.conftest import SITE


def test_a_physical_connection_names_its_files(write: Callable[[str, str], Path]) -> None:
    site = write("drmgr.yaml", SITE.replace("    database: his\n", "    database: his\n    method: physical\n"))
    with pytest.raises(ConfigError) as caught:
        load_site(site)
    (problem,) = caught.value.problems
    assert "connections.his-main: has the method physical and needs data_directory" in problem
    more = "    database: his\n    method: physical\n    data_directory: data\n"
    write("drmgr.yaml", SITE.replace("    database: his\n", more))
    connection = load_site(site).site.connections["his-main"]
    assert connection.engine == "postgresql" and connection.data_directory == Path("data")
