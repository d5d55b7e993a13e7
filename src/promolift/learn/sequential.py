"""An estimate and its standard error at any moment in; an interval that stays right however often one looks out.

Asymptotic confidence sequence with a normal (Robbins) mixture: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024,
"Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52. "Asymptotic" means
that the first look must not come before the mean of an arm is nearly normal; `experiment.Design.least` sees to it.

`progress` is the share of the planned information gathered so far: customers seen / customers planned, and for
customers who earn a little every day, days gone / days planned. It may pass 1. One choice of plan fixes the whole
sequence: the interval is tightest at progress 1 and valid at every other one.
"""

from math import e, exp, log, sqrt

import scipy

from promolift.errors import InputError


def mixture_weight(alpha: float) -> float:
    """Variance of the mixing normal, in units of 1 / the planned information, that is tightest at progress 1.

    The half-width at information t is proportional to sqrt((u + 1) / u * log((u + 1) / alpha^2)) with u = weight * t /
    planned; its smallest value lies where u - log(u + 1) = -2 log(alpha), which Lambert's W solves.
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha = {alpha}: an error rate lies between 0 and 1")
    return float(-scipy.special.lambertw(-(alpha**2) / e, k=-1).real) - 1


def boundary(progress: float, alpha: float, weight: float | None = None) -> float:
    """How many standard errors the interval reaches to each side; about 3.04 at progress 1 and alpha 0.05."""
    u = _u(progress, alpha, weight)
    return sqrt((u + 1) / u * log((u + 1) / alpha**2))


def always_valid_p(z: float, progress: float, alpha: float, weight: float | None = None) -> float:
    """1 / the mixture likelihood ratio of `z` standard errors; below `alpha` exactly when the interval leaves 0 out.

    `alpha` is the level the sequence was tuned for; the p-value is valid at every other level too.
    """
    u = _u(progress, alpha, weight)
    log_evidence = z * z * u / (2 * (u + 1)) - log(u + 1) / 2
    return 1.0 if log_evidence <= 0 else exp(-log_evidence)


def _u(progress: float, alpha: float, weight: float | None) -> float:
    if not progress > 0:
        raise InputError(f"progress = {progress}: nothing has been observed, so there is no interval yet")
    return progress * (mixture_weight(alpha) if weight is None else weight)
