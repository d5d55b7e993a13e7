"""A trained encoder and exposures in; the calibrated probability that each exposure is redeemed out.

A prediction: who redeems once shown, not what showing adds. Calibrated on exposures that closed in the validation
window, which the weights never learned from.
"""

import numpy as np
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from promolift.errors import SupportError
from promolift.profile.encoder_data import Days, Floats, Popularity
from promolift.profile.encoder_forecast import LogitLine
from promolift.profile.encoder_model import LearnedEncoder
from promolift.profile.exposures import AskedExposures, Exposed, closed_in

FOR_SLOPE, FOR_MEAN = 100, 10  # exposures of the rarer outcome needed to fit a slope, and the mean alone


def calibrate_redemption(
    model: LearnedEncoder, h: Exposed, shared: Popularity, after: float, until: float
) -> LogitLine:
    """Intercept and slope on the log odds, from exposures that closed in a window of days.

    With few redeemed, the slope stays 1 and only the mean is set right. Raises SupportError below 10 of either outcome.
    """
    asked = closed_in(h, np.arange(len(h.customers)), after, until)
    odds, redeemed = _odds(model, h, shared, asked), asked.redeemed_Q
    rarer = int(min(redeemed.sum(), len(redeemed) - redeemed.sum()))
    if rarer < FOR_MEAN:
        raise SupportError(
            f"encoder: {int(redeemed.sum())} of {len(redeemed)} exposures that closed in the validation window were "
            f"redeemed; {FOR_MEAN} of each outcome are needed to calibrate"
        )
    if rarer >= FOR_SLOPE:
        fitted = LogisticRegression(C=100.0).fit(odds[:, None], redeemed)
        return LogitLine(float(fitted.intercept_[0]), float(fitted.coef_[0, 0]))
    shift = brentq(lambda a: float(_prob(odds + a).mean() - redeemed.mean()), -30.0, 30.0)
    return LogitLine(float(shift), 1.0)


def redemption_prob(
    model: LearnedEncoder, line: LogitLine, h: Exposed, shared: Popularity, asked: AskedExposures
) -> Days:
    """The probability per asked exposure, in the order given; only what was known before each one's day counts."""
    return _prob(line.intercept + line.slope * _odds(model, h, shared, asked))


def _odds(model: LearnedEncoder, h: Exposed, shared: Popularity, asked: AskedExposures) -> Days:
    parts: list[Floats] = [np.zeros(0, np.float32), *model.redemption(h, shared, asked)]
    return np.concatenate(parts).astype(np.float64)


def _prob(odds: Days) -> Days:
    return np.asarray(1 / (1 + np.exp(-odds)))
