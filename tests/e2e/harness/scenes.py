"""tests/data, as the cluster finds it."""
import os

from .api import is_own_cluster
from .case import Skipped

# In the own cluster.
DATA_URL = "http://data.weir-test.svc.cluster.local"


def url():
    """Where this cluster finds it."""
    if not is_own_cluster() and "WEIR_DATA_URL" not in os.environ:
        raise Skipped("WEIR_DATA_URL does not say where tests/data is served")
    return os.environ.get("WEIR_DATA_URL", DATA_URL)
