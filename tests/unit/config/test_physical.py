"""What the site file must say of a connection whose files are backed up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from drmgr.config.load import load_site
from drmgr.errors import ConfigError
from tests.unit.config.conftest import SITE


def test_a_physical_connection_of_mariadb_names_its_files(write: Callable[[str, str], Path]) -> None:
    mariadb = SITE.replace("engine: postgresql", "engine: mariadb")
    site = write("drmgr.yaml", mariadb.replace("    database: his\n", "    database: his\n    method: physical\n"))
    with pytest.raises(ConfigError) as caught:
        load_site(site)
    (problem,) = caught.value.problems
    assert "connections.his-main: has the method physical and needs data_directory" in problem


def test_one_of_postgresql_need_not_for_its_files_may_be_elsewhere(write: Callable[[str, str], Path]) -> None:
    afar = "    database: his\n    method: physical\n    staging: copies\n"
    site = write("drmgr.yaml", SITE.replace("    database: his\n", afar))
    connection = load_site(site).site.connections["his-main"]
    assert connection.engine == "postgresql"
    assert (connection.data_directory, connection.staging) == (None, Path("copies"))
    write("drmgr.yaml", SITE.replace("    database: his\n", afar + "    data_directory: data\n"))
    connection = load_site(site).site.connections["his-main"]
    assert connection.engine == "postgresql" and connection.data_directory == Path("data")
