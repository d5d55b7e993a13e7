"""A local OpenID Connect provider that signs with a key of its own, and may be told to cheat."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "promolift", "a secret of the test"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Provider:
    """Its accounts are one person; `claims` replace those of its tokens, `alg` and `key` how they are signed."""

    def __init__(self, url: str) -> None:
        self.url, self.key = url, RSAKey.generate_key(2048, {"kid": "1"})
        self.signing, self.alg = self.key, "RS256"
        self.claims: dict[str, Any] = {}
        self.email, self.verified = "ann@example.com", True
        self.metadata: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.down = False
        self.seen: list[dict[str, str]] = []

    def authorize(self, url: str) -> str:
        """Where a browser that opens the page and consents is sent back to."""
        asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        self.codes[code := secrets.token_urlsafe(8)] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token endpoint; a code works once, and only with its verifier and redirect URI."""
        self.seen.append(form)
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = _encoded(digest)
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization not in (f"Basic {basic}", f"Basic {plain}"):
            return 401, {"error": "invalid_client"}
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        said = {"iss": self.url, "sub": "42", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"],
                "email": self.email, "email_verified": self.verified} | self.claims  # fmt: skip
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(said)}

    def sign(self, said: dict[str, Any]) -> str:
        """A token."""
        said = {name: value for name, value in said.items() if value is not None}
        if self.alg in ("none", "HS256"):  # unsigned, or by the text of the public key, which everybody knows
            head = ".".join(_encoded(json.dumps(each).encode()) for each in ({"alg": self.alg, "kid": "1"}, said))
            signature = hmac.new(self.key.as_pem(private=False), head.encode(), "sha256").digest()
            return f"{head}.{_encoded(signature) if self.alg == 'HS256' else ''}"
        return jwt.encode({"alg": self.alg, "kid": "1"}, said, self.signing, algorithms=[self.alg])

    def answer(self, path: str) -> dict[str, Any] | None:
        """What it says of itself."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys"} | self.metadata  # fmt: skip
        return {"keys": [self.key.as_dict(private=False)]} if path == "/keys" else None


@contextmanager
def oidc_provider() -> Iterator[Provider]:
    """A provider on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/authorize?"):  # whoever comes is signed in there
                self.send_response(303)
                self.send_header("location", provider.authorize(self.path))
                self.send_header("content-length", "0")
                self.end_headers()
                return
            said = None if provider.down else provider.answer(self.path)
            self._reply(200 if said else 503, said or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: value[0] for name, value in parse_qs(body).items()}
            self._reply(*provider.token(form, self.headers.get("authorization", "")))

        def _reply(self, status: int, said: dict[str, Any]) -> None:
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
