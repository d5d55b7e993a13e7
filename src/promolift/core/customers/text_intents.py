"""Classify customers' texts into nine intents, with probabilities.

Character n-grams and words, weighted by TF-IDF, into a multinomial logistic regression, learned at first use from
intents.tsv, a small set of our own making. Its penalty is that of least log loss
when each tenth of the set is forecast by the rest. Texts in languages other than Chinese and English are not read.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, get_args

import polars as pl

from promolift.foundation.settings import read_tsv

Intent = Literal["too_expensive", "late", "damaged", "return", "refund", "stock", "praise", "stop", "other"]
INTENTS: tuple[Intent, ...] = get_args(Intent)
COMPLAINTS: tuple[Intent, ...] = ("late", "damaged", "return", "refund")  # a low price would not make up for these
MAX_CHARACTERS = 2_000  # characters of a text that are read: its first and its last half of them
INVERSE_REGULARISATION = 300.0  # C of least log loss of 10, 30, 100, 300 and 1000, cross-validated within intents.tsv
# what phone companies take for a refusal, alone in a message
_REFUSAL = re.compile(r"\W*(?:stop|stop ?all|unsubscribe|opt ?out|回?(?:td|t|r)|退订|拒收)\W*", re.IGNORECASE)
# what stands in nearly every sentence of other languages written in these letters, and in hardly an English one
_OTHERS = re.compile(
    r"\b(?:und|nicht|ist|ich|das|eine?|für|mit|le|les|est|pas|je|vous|une|dans|el|los|es|que|por|una|muy|il|non|che|"
    r"di|sono|não|uma|você|muito|het|niet|een|ik|jest|nie|się)\b"
)
_ENGLISH = re.compile(r"\b(?:the|is|it|i|my|and|to|of|not|you|this|was|for|in|a|do|have|on|no|me|your|when|how)\b")
_WORD = r"(?u)[a-z0-9']+|[\u4e00-\u9fff]"


def language_of_text(text: str) -> Literal["zh", "en", "other"]:
    """zh where Chinese letters stand (and no Japanese ones), en for Latin letters that do not look like another
    language, else other.
    """
    chinese = len(re.findall(r"[\u4e00-\u9fff]", text))
    foreign = len(re.findall(r"[\u0400-\u04ff\u0590-\u06ff\u0900-\u0fff\u3040-\u30ff\uac00-\ud7af]", text))
    if foreign > chinese / 4:
        return "other"
    if chinese:
        return "zh"
    low = text.lower()
    others = len(_OTHERS.findall(low))
    return "en" if re.search("[a-z]", low) and others <= len(_ENGLISH.findall(low)) else "other"


def predict_intents(texts: Sequence[str]) -> pl.DataFrame:
    """language, intent, intent_prob, and as complaint_prob, too_expensive_prob and stop_prob how likely each text is
    one; a row a text, in their order. Of a text in another language all but `language` is null.
    """
    known = [language_of_text(text) for text in texts]
    frame = pl.DataFrame({"language": known}, schema={"language": pl.String}).with_row_index("row")
    at = [row for row, language in enumerate(known) if language != "other"]
    if not at:
        return intent_columns(
            frame.clear().select("row"), pl.DataFrame(schema=dict.fromkeys(INTENTS, pl.Float64)), frame
        )
    model = intent_model()
    prob_NI = model.predict_proba([_short(texts[row]) for row in at])
    refused = [bool(_REFUSAL.fullmatch(texts[row])) for row in at]
    prob_NI[refused] = model.classes_ == "stop"
    probs = pl.DataFrame(dict(zip(model.classes_.tolist(), prob_NI.T, strict=True))).select(INTENTS)
    return intent_columns(pl.DataFrame({"row": at}, schema={"row": pl.UInt32}), probs, frame)


def intent_columns(rows: pl.DataFrame, probs: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` (row, language) with what probabilities of INTENTS say of its `rows`."""
    best = probs.select(
        pl.concat_list(INTENTS).list.arg_max().replace_strict(dict(enumerate(INTENTS)), return_dtype=pl.String)
        .alias("intent"),
        pl.max_horizontal(INTENTS).alias("intent_prob"),
        pl.sum_horizontal(COMPLAINTS).clip(0, 1).alias("complaint_prob"),
        pl.col("too_expensive").alias("too_expensive_prob"),
        pl.col("stop").alias("stop_prob"),
    )  # fmt: skip
    found = pl.concat([rows, best], how="horizontal")
    return frame.join(found, on="row", how="left", maintain_order="left").drop("row")


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS // 2]} {text[-MAX_CHARACTERS // 2 :]}"


@cache
def intent_model() -> Any:
    """The model of scikit-learn that reads, fitted to our own texts, once."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    known, _, texts = zip(*read_tsv("core/customers/text_intents.tsv"), strict=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD, sublinear_tf=True)
    model = make_pipeline(make_union(letters, words), LogisticRegression(C=INVERSE_REGULARISATION, max_iter=3000))
    return model.fit(texts, known)
