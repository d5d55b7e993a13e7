"""A screen in; its HTML out, by the report's own blocks. And the files that pages load: one style, one script, charts.

All of it comes from this server under a policy that runs no inline script and takes no inline style. Files are named
by their hash, so browsers keep them until they change.
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jinja2 import Environment
from markupsafe import Markup

from promolift.console.people import ROLES, Visitor
from promolift.console.visit import SaidNote, Screen
from promolift.currency import currency_digits
from promolift.pages.render import embed, environment
from promolift.results.chinese import kept
from promolift.terms import Words
from promolift.words import DASH, Cash, count, date, known, number, pick, share, spoken, symbol, upper_first

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
FONT = re.compile(r"url\(data:font/woff2;base64,([A-Za-z0-9+/=]+)\)")
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "woff2": "font/woff2",
    "svg": "image/svg+xml",
}


ACTS = {
    "release.activate": Words(en="activated a release:", zh="启用发布："),
    "release.rollback": Words(en="rolled back:", zh="回滚："),
    "release.make": Words(en="froze a release:", zh="冻结发布："),
    "release.propose": Words(en="proposed a release:", zh="提出发布："),
    "release.draft": Words(en="saved a draft:", zh="保存草稿："),
    "release.ask": Words(en="asked for approval:", zh="请求批准："),
    "release.approve": Words(en="approved:", zh="批准："),
    "campaign.put": Words(en="changed the campaign:", zh="更改活动："),
    "key.create": Words(en="made a key:", zh="创建密钥："),
    "key.revoke": Words(en="revoked a key:", zh="吊销密钥："),
    "person.add": Words(en="let in:", zh="加入："),
    "person.change": Words(en="changed the account of", zh="更改账号："),
    "person.invite": Words(en="invited somebody:", zh="邀请："),
    "console.dismiss": Words(en="hid a note:", zh="隐藏提示："),
    "experiment.put": Words(en="started a test:", zh="开始测试："),
    "experiment.stop": Words(en="stopped a test:", zh="停止测试："),
    "text.approve": Words(en="approved a text:", zh="批准文案："),
    "text.reject": Words(en="rejected a text:", zh="拒绝文案："),
    "text.edit": Words(en="wrote a text:", zh="撰写文案："),
    "privacy.erase": Words(en="erased a customer:", zh="删除客户："),
    "privacy.export": Words(en="exported a customer's data:", zh="导出客户数据："),
    "job.start": Words(en="started work:", zh="开始任务："),
    "menu.draft": Words(en="drafted an offer:", zh="起草优惠："),
    "menu.asked": Words(en="asked for an offer:", zh="请求批准优惠："),
    "menu.approved": Words(en="put on the menu:", zh="批准优惠："),
    "menu.rejected": Words(en="left out an offer:", zh="不采用优惠："),
    "menu.retire": Words(en="took off the menu:", zh="停用优惠："),
    "menu.restore": Words(en="went back to the menu of version", zh="恢复菜单版本："),
    "webhook.create": Words(en="made a webhook:", zh="创建Webhook："),
    "webhook.delete": Words(en="deleted a webhook:", zh="删除Webhook："),
    "experiment.draft": Words(en="drafted a test:", zh="起草测试："),
    "experiment.pause": Words(en="paused a test:", zh="暂停测试："),
    "annotation.add": Words(en="noted something of some days:", zh="添加日期标注："),
    "annotation.drop": Words(en="took a note back:", zh="删除标注："),
    "trial.remove": Words(en="removed a trial:", zh="删除试验："),
    "data.upload": Words(en="sent a file:", zh="上传文件："),
    "data.mapping": Words(en="said what columns mean in", zh="更改列的含义："),
    "data.shop": Words(en="changed the shop's settings in", zh="更改店铺设置："),
}
STATES = {
    "live": Words(en="decides now", zh="正在决策"),
    "draft": Words(en="draft", zh="草稿"),
    "asked": Words(en="waits for a yes", zh="等待批准"),
    "approved": Words(en="approved", zh="已批准"),
    "frozen": Words(en="frozen", zh="已冻结"),
    "judged": Words(en="passed by the judge", zh="评审通过"),
    "edited": Words(en="written by a person", zh="人工撰写"),
    "drafted": Words(en="draft of a machine", zh="机器草稿"),
    "rejected": Words(en="rejected", zh="已拒绝"),
    "faulty": Words(en="breaks a rule", zh="违反规则"),
    "retired": Words(en="retired", zh="已停用"),
}
STEPS = {
    "ingest": Words(en="reading the files", zh="读入文件"),
    "profile": Words(en="describing every customer", zh="描述每位客户"),
    "encoder": Words(en="training the network", zh="训练网络"),
    "effect": Words(en="reading the response to discounts", zh="读出对折扣的反应"),
    "plan": Words(en="choosing who gets what", zh="选择谁得到什么"),
    "message": Words(en="writing the words", zh="撰写文案"),
    "evaluate": Words(en="checking the plan", zh="检验计划"),
}
_ZONE: ContextVar[str] = ContextVar("zone", default="UTC")


class NavItem(NamedTuple):
    """A screen in the navigation."""

    path: str
    en: str
    zh: str

    @property
    def name(self) -> str:
        """In the language that is spoken."""
        return pick(self.en, self.zh)


@lru_cache
def assets() -> dict[str, bytes]:
    """Every file that pages load, by its name, which holds a part of its hash."""
    found: dict[str, bytes] = {}

    def put(name: str, content: bytes) -> str:
        stem, _, end = name.rpartition(".")
        found[named := f"{stem}.{sha256(content).hexdigest()[:12]}.{end}"] = content
        return named

    def text(package: str, name: str) -> str:
        return files(package).joinpath(name).read_text("utf-8")

    def fontfile(match: re.Match[str]) -> str:
        return f"url({put('font.woff2', b64decode(match[1]))})"

    fonts = FONT.sub(fontfile, text("promolift.pages", "vendor/fonts.css"))
    put("fonts.css", fonts.encode())
    put("report.css", text("promolift.pages", "static/report.css").encode())
    put("console.css", text("promolift.console", "static/console.css").encode())
    put("echarts.js", text("promolift.pages", "vendor/echarts.report.min.js").encode())
    put("draw.js", text("promolift.pages", "static/draw.js").encode())
    put("htmx.js", text("promolift.console", "vendor/htmx.min.js").encode())
    put("icon.svg", text("promolift.console", "static/icon.svg").encode())
    put("console.js", text("promolift.console", "static/console.js").encode())
    return found


def asset(name: str) -> str:
    """The path of a file by its plain name."""
    stem, _, end = name.rpartition(".")
    (one,) = [each for each in assets() if each.startswith(f"{stem}.") and each.endswith(f".{end}")]
    return f"/console/static/{one}"


@lru_cache
def _templates() -> Environment:
    made = environment("promolift.console", "promolift.pages")
    made.filters["upper_first"] = upper_first
    made.globals |= {
        "asset": asset,
        "date": date,
        "count": count,
        "number": number,
        "share": share,
        "roles": ROLES,
        "moment": moment,
        "act": act,
        "kept": kept,
        "status_name": status_name,
        "step_name": step_name,
    }
    return made


class Frame(NamedTuple):
    """What stands around every screen: who is signed in, where they are, what they are told once, whose shop it is, and
    which days count in no result.
    """

    visitor: Visitor | None
    here: str
    nav: list[NavItem]
    said: list[SaidNote]
    shop: str
    currency: str
    zone: str
    left_out: Sequence[str] = ()


def html(screen: Screen, frame: Frame) -> bytes:
    """The page, or a part of it."""
    cash = Cash(frame.currency)
    _ZONE.set(frame.zone)
    money = {"symbol": symbol(frame.currency), "digits": currency_digits(frame.currency)}
    chart_data = Markup(embed({"money": money, "language": spoken(), "figures": screen.figures}))
    given: dict[str, Any] = {
        "screen": screen,
        "frame": frame,
        "cash": cash,
        "token": frame.visitor.token if frame.visitor else "",
        "paths": {item.path for item in frame.nav},
        "figure_data": chart_data if screen.figures else "",
        "may": frame.visitor.may if frame.visitor else _nobody,
    }
    text = _templates().get_template(screen.template).render(**given, **screen.data)
    return text.encode("utf-8", "replace")


def moment(ms: object) -> str:
    """A day and a time, in the shop's zone."""
    value = known(ms)
    if value is None:
        return DASH
    local = datetime.fromtimestamp(value / 1000, ZoneInfo(_ZONE.get()))
    return f"{date(ms, _ZONE.get())} {local:%H:%M}"


def act(action: str) -> str:
    """What the audit log says was done, in words."""
    return ACTS[action].in_(spoken()) if action in ACTS else action


def status_name(status: str) -> str:
    """What a release or a text is, in words."""
    return STATES[status].in_(spoken()) if status in STATES else status


def step_name(step: str) -> str:
    """What a step does, in words."""
    return STEPS[step].in_(spoken()) if step in STEPS else step


def _nobody(_: str) -> bool:
    return False
