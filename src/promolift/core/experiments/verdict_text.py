"""Name the sentences of verdicts that hold values, and show stored verdicts in the reader's language.

Results and the API hold the reason and the rule of a verdict as English text, which programs read. A sentence with a
value is written with one of `VERDICT_FORMS`, so that its values are found again when it is shown.
"""

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import SEMICOLON, message_of, render_message

BROKEN_RATIO = gettext_noop("the sample ratio is broken, so no difference can be put down to the arm")
RATIO_PLANNED = gettext_noop("Sample ratio as planned: {sizes} ({test}, p = {p}, broken below {alpha})")
RATIO_BROKEN = gettext_noop("Sample ratio BROKEN: {sizes} ({test}, p = {p}, broken below {alpha})")
ANY_TIME_TEST, FIXED_TEST = gettext_noop("any-time multinomial test"), gettext_noop("chi-square test")
FEW_CUSTOMERS = gettext_noop("{arm} and {control} customers; {least} are needed in each arm")
FEW_EVENTS = gettext_noop("{events} of {customers} customers in an arm; a rate needs {least} with and {least} without")
TOO_EARLY = gettext_noop("{progress} of the plan; a fixed test speaks once, at 100%")
ADJUSTED_P = gettext_noop("adjusted p = {p}, alpha {alpha}")
CHANCE = gettext_noop("chance alone could do this ({because})")
MEAN = gettext_noop("mean {metric} per customer")
RATIO_OF_SUMS = gettext_noop("sum of {value} / sum of {per}")
COVARIATES = gettext_noop("adjusted for {covariates} ({share} of the variance taken off)")
CAPPED = gettext_noop("{name} capped at {limits} ({source}: {clipped} of {values} values in the arm)")
ONE_COMPARISON = gettext_noop("{correction} over 1 comparison at {alpha}")
COMPARISONS = gettext_noop("{correction} over {comparisons} comparisons at {alpha}")
ANY_DAY = gettext_noop("{level} always-valid interval, at {progress} of the plan, may be read any day")
ONCE = gettext_noop("Welch t test, {level} interval, read once at the planned size")
EVIDENCE = gettext_noop("evidence {level}")
UNSEEN_ACTIONS = gettext_noop(
    "policy: {share} of it lies on actions the log never takes there (at most {most} is allowed); log those actions "
    "with some probability first, or take them out of the policy"
)
FEW_ROWS = gettext_noop(
    "policy: {rows} logged rows are worth {effective} for it (at least {least} are needed); log more, explore more, or "
    "ask for a policy closer to the logged one"
)
VERDICT_FORMS = (
    UNSEEN_ACTIONS, FEW_ROWS, FEW_CUSTOMERS, FEW_EVENTS, TOO_EARLY, RATIO_PLANNED, RATIO_BROKEN, SEMICOLON, CHANCE,
    ADJUSTED_P, MEAN, RATIO_OF_SUMS, COVARIATES, CAPPED, ONE_COMPARISON, COMPARISONS, ANY_DAY, ONCE, EVIDENCE,
)  # fmt: skip


def render_verdict(text: str) -> str:
    """Return the stored reason or rule of a verdict in the language that is in use."""
    return render_message(message_of(text, *VERDICT_FORMS))
