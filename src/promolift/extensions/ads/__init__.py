"""Advertising: which creative is shown to which segment, learned from impressions and clicks."""

from promolift.foundation.extension import Extension, Project

EXTENSION = Extension(
    "ads",
    projects=(
        Project(
            "ads",
            row="impression, or creative of a test",
            settings="promolift.extensions.ads.results:CreativeFile",
            init="promolift.extensions.ads.setup:write_ads_settings",
            run="promolift.extensions.ads.creatives:run_ads",
        ),
    ),
)
