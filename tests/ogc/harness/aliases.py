"""The seed's module names for the client library as it is published: `ogc_api_client` is `ogc_api_processes_client`."""
import importlib
import pkgutil
import sys

import ogc_api_processes_client

for module in pkgutil.walk_packages(ogc_api_processes_client.__path__, "ogc_api_processes_client."):
    importlib.import_module(module.name)
for name in [name for name in sys.modules if name.split(".")[0] == "ogc_api_processes_client"]:
    sys.modules[name.replace("ogc_api_processes_client", "ogc_api_client", 1)] = sys.modules[name]
