"""What customers write and say: intents read on texts kept apart, and word error rates of the local recogniser.

    python benchmarks/extensions/speech.py [--quick] [--only intents|en|zh]

Intents: benchmarks/extensions/intents.tsv, 400 texts that promolift never learns from, beside keyword rules; 95 % bootstrap
intervals over texts. Hearing: sentences spoken by espeak-ng, a synthetic voice, clean, in noise and over a telephone's
codec by sox, through the product's `transcribe_recording`. Prints JSON lines:
figure, value, se, unit, peer, peer_value, n, data.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from promolift.core.customers.text_intents import COMPLAINTS, INTENTS, intent_model, predict_intents
from promolift.extensions.media.settings import SpeechSettings
from promolift.extensions.media.speech import open_recogniser, transcribe_recording
from promolift.foundation.errors import ConfigError
from promolift.foundation.language_model import RemoteSettings
from promolift.foundation.settings import read_tsv

APART = Path(__file__).with_name("intents.tsv")
# what a shop would write down first; the first rule that holds counts
RULES = {
    "stop": r"\bstop\b|unsubscribe|opt.?out|remove me|退订|不要再发|别再发|取消订阅|拒收|\btd\b",
    "refund": r"refund|money back|charged twice|退款|退钱|还钱",
    "return": r"\breturn|send (it|this) back|exchange|退货|换货|退换",
    "late": r"\blate\b|not arrived|where is my|delay|waiting|shipping|deliver|没到|还没|物流|快递|发货|太慢",
    "damaged": r"broken|damaged|defect|quality|crack|坏了|破损|质量|碎|瑕疵",
    "too_expensive": r"expensive|price|pricey|cheap|afford|贵|价格|便宜|涨价",
    "stock": r"in stock|\bsize\b|available|restock|有货|尺码|补货|库存|\d码",
    "praise": r"love|great|good|perfect|thank|excellent|喜欢|好评|满意|不错|谢谢",
}
ENGLISH = (
    "My parcel has not arrived yet and I have been waiting for two weeks.",
    "The cup was broken when I opened the box this morning.",
    "I would like to return these shoes because they are too small.",
    "When will I get my money back for the order I cancelled?",
    "This coat is far too expensive, I found it cheaper in another shop.",
    "Do you have the blue jacket in a larger size?",
    "Thank you very much, the coffee is excellent and delivery was fast.",
    "Please stop sending me messages, I do not want any more offers.",
    "What time does the store in the city centre open on Sunday?",
    "The courier came three hours late and the food was cold.",
)
CHINESE = (
    "我的快递两个星期还没有到", "杯子收到的时候已经碎了", "这双鞋太小了我想退货", "订单取消了什么时候把钱退给我",
    "这件大衣太贵了别的店便宜一半", "请问蓝色的有大一号的吗", "谢谢你们咖啡很好喝送货也快", "请不要再给我发短信了",
    "市中心的店周日几点开门", "外卖晚了三个小时饭都凉了",
)  # fmt: skip
INTENT_OF = ("late", "damaged", "return", "refund", "too_expensive", "stock", "praise", "stop", "other", "late")
CHANNELS = ("clean", "noise, 10 dB", "telephone, mu-law", "telephone, mu-law, noise", "telephone, GSM")


def by_rules(text: str) -> str:
    return next((intent for intent, rule in RULES.items() if re.search(rule, text.lower())), "other")


def macro(truth: Any, said: Any) -> float:
    return float(f1_score(truth, said, average="macro", labels=list(INTENTS), zero_division=0))


def line(figure: str, value: float, data: str, unit: str = "", n: int | None = None, peer: str | None = None,
         peer_value: float | None = None, **more: Any) -> dict[str, Any]:  # fmt: skip
    rest = {"se": None, "unit": unit, "peer": peer, "peer_value": peer_value, "n": n, "data": data}
    return {"figure": figure, "value": round(value, 4)} | rest | more


def intents(draws: int) -> Iterator[dict[str, Any]]:
    lines = APART.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    truth, language, texts = (np.array(each) for each in zip(*rows, strict=True))
    found = predict_intents(texts.tolist())
    ours = found["intent"].fill_null("other").to_numpy()
    rules = np.array([by_rules(text) for text in texts])
    rng = np.random.default_rng(0)
    picks = [rng.integers(0, len(rows), len(rows)) for _ in range(draws)]
    for name, mask in (("both", language != ""), ("en", language == "en"), ("zh", language == "zh")):
        some = [pick[mask[pick]] for pick in picks]
        spread = np.percentile([macro(truth[pick], ours[pick]) for pick in some], [2.5, 97.5])
        lead = np.percentile([macro(truth[p], ours[p]) - macro(truth[p], rules[p]) for p in some], [2.5, 97.5])
        yield line("macro-F1 of intents", macro(truth[mask], ours[mask]), f"intents.tsv, {name}", n=int(mask.sum()),
                   peer="keyword rules", peer_value=round(macro(truth[mask], rules[mask]), 4),
                   interval=[*spread], lead_interval=[*lead])  # fmt: skip
    prob = found["intent_prob"].fill_null(1 / len(INTENTS)).to_numpy()
    yield line("likeliest intent right", float((ours == truth).mean()), "intents.tsv", "share", len(truth),
               "expected", round(float(prob.mean()), 4))  # fmt: skip
    angry, expected = np.isin(truth, COMPLAINTS), found["complaint_prob"].fill_null(0.0).to_numpy()
    yield line("complaints", int(angry.sum()), "intents.tsv", "texts", len(truth), "expected",
               round(float(expected.sum()), 2), log_loss=float(log_loss(angry, expected.clip(1e-6, 1 - 1e-6))),
               found_at_half=float((expected[angry] >= 0.5).mean()),
               false_at_half=float((expected[~angry] >= 0.5).mean()))  # fmt: skip
    y, _, x = (np.array(each) for each in zip(*read_tsv("core/customers/text_intents.tsv"), strict=True))
    folds = StratifiedKFold(10, shuffle=True, random_state=1)
    prob_NI = cross_val_predict(clone(intent_model()), x, y, cv=folds, method="predict_proba")
    best = np.unique(y)[prob_NI.argmax(axis=1)]
    yield line("macro-F1 of our own texts, each tenth by the rest", macro(y, best), "text_intents.tsv", n=len(y),
               right=float((best == y).mean()), expected=float(prob_NI.max(axis=1).mean()))  # fmt: skip
    start = time.process_time()
    predict_intents(x.tolist() * 5)
    speed = 5 * len(x) / (time.process_time() - start)
    yield line("intents read", round(speed), "text_intents.tsv", "texts a CPU second", 5 * len(x))


def errors(truth: list[str], said: list[str]) -> int:
    """Insertions, deletions and substitutions."""
    row = list(range(len(said) + 1))
    for i, a in enumerate(truth, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(said, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def units(text: str, language: str) -> list[str]:
    """Words of English, letters of Chinese, without signs."""
    return re.findall(r"[a-z0-9']+" if language == "en" else r"[\u4e00-\u9fffa-z0-9]", text.lower())


def sox(*words: str) -> None:
    subprocess.run(["sox", *words], check=True, capture_output=True)


def noisy(clean: Path, out: Path) -> None:
    """Pink noise 10 dB below the speech."""
    stat = subprocess.run(["sox", str(clean), "-n", "stat"], check=True, capture_output=True, text=True).stderr
    level = float(re.search(r"RMS +amplitude: +([\d.]+)", stat)[1])  # type: ignore[index]
    rate = subprocess.run(["soxi", "-r", str(clean)], check=True, capture_output=True, text=True).stdout.strip()
    seconds = subprocess.run(["soxi", "-D", str(clean)], check=True, capture_output=True, text=True).stdout.strip()
    hiss = out.with_suffix(".hiss.wav")
    sox("-R", "-n", "-r", rate, "-c", "1", str(hiss), "synth", seconds, "pinknoise", "norm", "-3")
    stat = subprocess.run(["sox", str(hiss), "-n", "stat"], check=True, capture_output=True, text=True).stderr
    own = float(re.search(r"RMS +amplitude: +([\d.]+)", stat)[1])  # type: ignore[index]
    sox("-m", "-v", "1", str(clean), "-v", f"{level / own * 10**-0.5:.6f}", str(hiss), str(out))


def hearing(most: int, model: str, only: str | None) -> Iterator[dict[str, Any]]:
    if not (shutil.which("espeak-ng") and shutil.which("sox")):
        yield {"skipped": "word error rate: espeak-ng and sox are needed"}
        return
    voices = [("en", "espeak-ng en", ENGLISH), ("zh", "espeak-ng cmn", CHINESE)]
    ears: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for language, voice, sentences in (each for each in voices if only in (None, each[0])):
            settings = SpeechSettings(language=language, model=model)
            try:
                ear = ears.setdefault("one", open_recogniser(settings, RemoteSettings(), None))
            except ConfigError as error:
                yield {"skipped": f"word error rate: {error}"}
                return
            for channel in CHANNELS:
                wrong = total = right = 0
                seconds, start = 0.0, time.process_time()
                for number, sentence in enumerate(sentences[:most]):
                    path = spoken(Path(folder), voice, number, sentence, channel)
                    found = transcribe_recording(path, ear, settings)
                    said = found.text or ""
                    truth = units(sentence, language)
                    wrong, total = wrong + errors(truth, units(said, language)), total + len(truth)
                    right += predict_intents([said])["intent"][0] == INTENT_OF[number]
                    seconds += found.seconds or 0
                yield line(
                    "word error rate" if language == "en" else "letter error rate", wrong / total,
                    f"{voice}, {channel}, {min(most, len(sentences))} sentences", "share", total, intents_right=right,
                    cpu_seconds_a_second=round((time.process_time() - start) / seconds, 2),
                )  # fmt: skip


def spoken(folder: Path, voice: str, number: int, sentence: str, channel: str) -> Path:
    clean = folder / f"{voice.split()[1]}{number}.wav"
    subprocess.run(["espeak-ng", "-v", voice.split()[1], "-s", "150", "-w", str(clean), sentence], check=True)
    path = clean
    if "noise" in channel:
        path = folder / "noisy.wav"
        noisy(clean, path)
    if "GSM" in channel:
        sox(str(path), "-r", "8000", "-c", "1", str(folder / "call.gsm"))
        sox(str(folder / "call.gsm"), str(folder / "call.wav"))
        path = folder / "call.wav"
    elif "mu-law" in channel:
        path, wide = folder / "call.wav", path
        sox(str(wide), "-r", "8000", "-c", "1", "-e", "mu-law", str(path))
    return path


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--only", choices=("intents", "en", "zh"), help="or hearing in one language")
    asked.add_argument("--model", default="", help="a folder in CTranslate2's form")
    given = asked.parse_args()
    if given.only in (None, "intents"):
        for row in intents(100 if given.quick else 1000):
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if given.only != "intents":
        for row in hearing(3 if given.quick else 10, given.model, given.only):
            print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
