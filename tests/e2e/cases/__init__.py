"""The tests, in the order in which they run within their group."""
from . import install, water_bodies, packages_and_inputs, upgrade, crash, rights, uninstall, walk  # noqa: F401
