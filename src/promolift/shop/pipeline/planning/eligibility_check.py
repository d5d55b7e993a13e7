"""Stop a plan in which one rule refuses most customers: such a rule more often misreads a column than it is meant."""

from promolift.core.customers.consent import lowest_age
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.results.segments import segment_members
from promolift.shop.results.work_folder.run_context import Job, moments

MAX_REFUSED = 0.5  # share of customers above which a rule that refuses them has to be confirmed
MIN_CUSTOMERS = 20  # of fewer customers a share says nothing


def check_rule_shares(job: Job) -> None:
    """Raise ConfigError `rule_refuses_most` where the minimum age or an excluded segment refuses more than half of the
    customers and `rules.confirmed` does not name it. Of ages, those that can be read count.
    """
    counted = job.clean.people.drop_nulls("age").group_by("age").len()
    ages = [(lowest_age(str(age)), n) for age, n in counted.iter_rows()]
    least = job.config.consent.minimum_age
    young = sum(n for age, n in ages if age is not None and age < least)
    whole = sum(n for age, n in ages if age is not None)
    shown = ", ".join(sorted(str(age) for age in counted["age"])[:5])
    _check(job, "minimum_age", young, whole, f"consent.minimum_age = {least}; ages are {shown}")
    names = job.config.rules.excluded_segments
    if names and job.profiled.has_profiles:
        members = segment_members(job, job.profiled.profiles(moments(job).asof))["segments"]
        for name in names:
            _check(job, name, int(members.list.contains(name).sum() or 0), len(members), "rules.excluded_segments")


def _check(job: Job, rule: str, refused: int, whole: int, where: str) -> None:
    if whole >= MIN_CUSTOMERS and refused > MAX_REFUSED * whole and rule not in job.config.rules.confirmed:
        raise ConfigError(
            "rule_refuses_most",
            gettext_lazy(
                "the rule {rule} ({where}) refuses {refused} of {whole} customers. Does its column hold "
                "what the rule takes it for, such as ages in years and no codes? Correct the rule or the "
                "column; if right, set rules.confirmed = [{rule}]",
                rule=repr(rule),
                where=where,
                refused=f"{refused:,}",
                whole=f"{whole:,}",
            ),
        )
