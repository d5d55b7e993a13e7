"""Work on many machines: a Ray executor and work folders in an object store."""

from promolift.foundation.extension import Extension

OBJECT_STORES = ("s3", "s3a", "gs", "abfs", "abfss", "az", "azure", "adl", "file")  # URL schemes
EXTENSION = Extension(
    "cluster",
    executors={"ray": "promolift.extensions.cluster.ray_executor:RayExecutor"},
    storages=dict.fromkeys(OBJECT_STORES, "promolift.extensions.cluster.object_store:ObjectStorage"),
)
