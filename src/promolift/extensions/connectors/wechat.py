"""Send a template message (模板消息) of a WeChat service account; `to` is the customer's openid.

The requests follow the documentation of `POST /cgi-bin/stable_token` and `POST /cgi-bin/message/template/send`. A text
that does not fit its template field is refused, because a text that is cut may be untrue.
"""

import os
import time
from datetime import date

from promolift.server.delivery.sender import HttpPost, OfferMessage

URL = "https://api.weixin.qq.com/cgi-bin"
INVALID_TOKEN_CODES = frozenset({40001, 40014, 42001})  # the token is no longer valid
DEFAULT_FIELDS = "thing1=title thing2=message character_string3=code time4=expires"  # or PROMOLIFT_WECHAT_FIELDS
MAX_FIELD_CHARS = {"thing": 20, "character_string": 32}
_tokens: dict[str, tuple[str, float]] = {}  # of each account, and until when


def send(message: OfferMessage, post: HttpPost) -> str | None:
    """None if WeChat took it, else why not. A token that ended early is asked for once more."""
    day = date.fromisoformat(message.expires[:10]) if message.expires else None
    facts = message.facts | {"expires": f"{day.year}年{day.month}月{day.day}日" if day else ""}
    data: dict[str, dict[str, str]] = {}
    for pair in os.environ.get("PROMOLIFT_WECHAT_FIELDS", DEFAULT_FIELDS).split():
        field, _, name = pair.partition("=")
        text, holds = facts.get(name, ""), MAX_FIELD_CHARS.get(field.rstrip("0123456789"), 200)
        if len(text) > holds:
            return f"wechat: {name} has {len(text)} characters, {field} of the template holds {holds}"
        data |= {field: {"value": text}} if text else {}
    body = {
        "touser": message.to, "template_id": os.environ["PROMOLIFT_WECHAT_TEMPLATE"], "data": data,
        "client_msg_id": message.decision_id,  # sent twice, it arrives once
    }  # fmt: skip
    for renewed in (False, True):
        token = _token(post, renewed)
        if token is None:
            return "wechat: no access token for this app"
        said = post(f"{URL}/message/template/send?access_token={token}", {}, body)
        code = said.body.get("errcode", said.status) if isinstance(said.body, dict) else said.status
        if code not in INVALID_TOKEN_CODES:
            break
    return None if code == 0 else f"wechat: errcode {code}"


def _token(post: HttpPost, renewed: bool) -> str | None:
    app = os.environ["PROMOLIFT_WECHAT_APPID"]
    token, until_s = _tokens.get(app, ("", 0.0))
    if not renewed and time.monotonic() < until_s:
        return token
    asked = {"grant_type": "client_credential", "appid": app, "secret": os.environ["PROMOLIFT_WECHAT_SECRET"]}
    said = post(f"{URL}/stable_token", {}, asked | {"force_refresh": renewed})
    if not isinstance(said.body, dict) or not isinstance(said.body.get("access_token"), str):
        return None
    _tokens[app] = said.body["access_token"], time.monotonic() + said.body.get("expires_in", 7200) - 300
    return str(said.body["access_token"])
