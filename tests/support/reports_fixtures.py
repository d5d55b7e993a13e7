"""The drawn shop in dollars, told once for all tests that read its page."""

from collections.abc import Callable, Iterator

import pytest
from told_shop import SHOPS, told_shop

from promolift.foundation.storage.local_store import Store
from promolift.shop.reports.story import Story
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.work_folder.run_context import Job


@pytest.fixture(scope="session")
def job_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Job]]:
    """The job of a drawn shop by its name in SHOPS, planned when it is first asked for."""
    jobs: dict[str, Job] = {}

    def job_of(name: str) -> Job:
        if name not in jobs:
            jobs[name] = told_shop(Store(tmp_path_factory.mktemp("told")), 1, **SHOPS[name])
        return jobs[name]

    yield job_of
    for job in jobs.values():
        job.store.close()


@pytest.fixture(scope="session")
def dollars(job_of: Callable[[str], Job]) -> Story:
    """The story of the drawn shop in dollars."""
    return build_story(job_of("dollars"))
