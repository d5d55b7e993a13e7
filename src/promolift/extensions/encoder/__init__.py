"""A transformer that learns customers from their purchase histories."""

from promolift.foundation.extension import Extension, ReportChapter

EXTENSION = Extension(
    "encoder",
    chapters=(ReportChapter("forecast", "promolift.extensions.encoder.chapter:forecast_chapter"),),
)
