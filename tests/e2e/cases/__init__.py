"""The tests, in the order in which they run within their group."""
from . import (  # noqa: F401
    install, water_bodies, packages_and_inputs, facade, clients, failures_of_tools, failures_of_inputs, failures_of_platform, upgrade, crash,
    outages, rights, uninstall, walk,
)
