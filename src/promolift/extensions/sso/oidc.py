"""Sign a person in with an OpenID Connect provider: authorisation code flow with PKCE (RFC 7636), state and nonce.

The provider says who a person is; which people there are, and their roles, the console says. Authlib (joserfc) builds
the requests and checks the tokens. Only signatures by a public key of the provider count, never `none` or a shared key.
"""

import logging
import os
import secrets
import threading
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic
from typing import Any, NoReturn
from urllib.parse import urlsplit

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.console.sign_in_methods import SignInMethod, SignInStart
from promolift.server.settings import OidcSettings, ServeSettings
from promolift.server.translations import translate_refusal

LOG = logging.getLogger("promolift.server.console")
SECRET_VARIABLE = "PROMOLIFT_OIDC_SECRET"
ALGORITHMS = ["RS256", "PS256", "ES256"]
TIMEOUT_S, LEEWAY_S = 8.0, 60
METADATA_S = 3600.0  # how long what the provider says of itself is kept
KEYS_AGAIN_S = 60.0  # keys are read anew this often at most, for a token by a key that is not known yet
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")  # of a provider for tests: the only ones without https


def configured_provider(settings: ServeSettings) -> SignInMethod | None:
    """Return the provider of `console.oidc`; None where none is named. ConfigError where it cannot work."""
    provider = settings.console.oidc
    return _provider(provider, os.environ.get(SECRET_VARIABLE, "")) if provider else None


@lru_cache(maxsize=8)
def _provider(settings: OidcSettings, secret: str) -> "OidcProvider":
    if not is_safe_url(settings.issuer):
        raise ConfigError(
            "setting_invalid", gettext_lazy("console.oidc.issuer: use https://host, as the provider names it")
        )
    try:
        import authlib.oidc.core  # noqa: F401
        import httpx2  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "extra_missing", gettext_lazy("console.oidc needs {name}; pip install 'promolift[sso]'", name=error.name)
        ) from None
    return OidcProvider(settings, secret)


def is_safe_url(url: object) -> bool:
    """Return whether a secret may be sent to a URL: by https, or to this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
    return safe and bool(parts.hostname) and parts.username is None


class OidcProvider:
    """A way to sign in. What the provider says of itself is read at the first sign-in and kept for an hour."""

    name = "oidc"

    def __init__(self, settings: OidcSettings, secret: str) -> None:
        """Nothing is read yet."""
        self._settings, self._secret, self._lock = settings, secret, threading.Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, Any] | None = None

    @property
    def label(self) -> str:
        """What the button says."""
        if self._settings.name:
            return gettext("Sign in with {provider}", provider=self._settings.name)
        return gettext("Sign in with your company account")

    def begin(self, back_url: str, state: str) -> SignInStart:
        """Return the provider's page for this sign-in, and what `finish` needs of it."""
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        with self._client(back_url) as client:
            url, _ = client.create_authorization_url(
                self._endpoint("authorization_endpoint"), state=state, code_verifier=verifier, nonce=nonce
            )
        return SignInStart(url, {"nonce": nonce, "verifier": verifier})

    def finish(self, query: Mapping[str, str], memory: Mapping[str, str], back_url: str, now_s: int) -> str:
        """Return the verified e-mail address of the person. Raises Refused."""
        if "code" not in query or query.get("iss", self._settings.issuer) != self._settings.issuer:  # RFC 9207
            refuse("provider_refused", query.get("error", "no code, or another issuer")[:80])
        token = self._token(query["code"], memory["verifier"], back_url)
        claims = self._claims(token, memory["nonce"], now_s)
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str) or "@" not in email:
            refuse("email_unverified", "the token has no verified e-mail address")
        return email

    def _token(self, code: str, verifier: str, back_url: str) -> Mapping[str, Any]:
        from authlib.common.errors import AuthlibBaseError
        from httpx2 import HTTPError

        try:
            with self._client(back_url) as client:
                token: Mapping[str, Any] = client.fetch_token(
                    self._endpoint("token_endpoint"), grant_type="authorization_code", code=code,
                    code_verifier=verifier,
                )  # fmt: skip
        except AuthlibBaseError as error:
            refuse("provider_refused", f"token: {error.error}")
        except (HTTPError, ValueError, LookupError, TypeError) as error:
            refuse("provider_silent", f"token: {type(error).__name__}")
        return token

    def _claims(self, token: Mapping[str, Any], nonce: str, now_s: int) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError

        settings, text = self._settings, token.get("id_token")
        if not isinstance(text, str):
            refuse("provider_refused", "no ID token")
        wanted = {"iss": {"essential": True, "value": settings.issuer},
                  "aud": {"essential": True, "value": settings.client_id}}  # fmt: skip
        checked = {"nonce": nonce, "client_id": settings.client_id, "access_token": token.get("access_token")}
        try:
            try:
                decoded = jwt.decode(text, self._key_set(METADATA_S), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # perhaps by a key that is new
                decoded = jwt.decode(text, self._key_set(KEYS_AGAIN_S), algorithms=ALGORITHMS)
            claims = CodeIDToken(decoded.claims, decoded.header, wanted, checked)
            claims.validate(now=now_s, leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            refuse("token_invalid", f"ID token: {type(error).__name__} {error}")
        return dict(claims)

    def _client(self, back_url: str) -> Any:
        from authlib.integrations.httpx_client import OAuth2Client

        return OAuth2Client(
            self._settings.client_id, self._secret or None, scope="openid email", redirect_uri=back_url,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            code_challenge_method="S256", timeout=TIMEOUT_S, follow_redirects=False, trust_env=False,
        )  # fmt: skip

    def _endpoint(self, name: str) -> str:
        with self._lock:
            if self._metadata is None or monotonic() - self._metadata[0] > METADATA_S:
                said = _fetch_json(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
                if said.get("issuer") != self._settings.issuer:
                    refuse("provider_silent", "the provider names another issuer than console.oidc.issuer")
                self._metadata = monotonic(), said
            url = self._metadata[1].get(name)
        if not isinstance(url, str) or not is_safe_url(url):
            refuse("provider_silent", f"no {name} by https")
        return url

    def _key_set(self, age_s: float) -> Any:
        from joserfc.jwk import KeySet

        url = self._endpoint("jwks_uri")
        with self._lock:
            if self._keys is None or monotonic() - self._keys[0] > age_s:
                listed = _fetch_json(url).get("keys")
                public = [key for key in listed if key.get("kty") in ("RSA", "EC")] if isinstance(listed, list) else []
                self._keys = monotonic(), KeySet.import_key_set({"keys": public})
            return self._keys[1]


def _fetch_json(url: str) -> Mapping[str, Any]:
    import httpx2

    try:
        reply = httpx2.get(url, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        said = reply.raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        refuse("provider_silent", f"{url}: {type(error).__name__}")
    return said if isinstance(said, dict) else {}


def refuse(code: str, why: str) -> NoReturn:
    """Log why a sign-in failed, without the person, and end it. `code` names what the page says."""
    LOG.warning("single sign-on refused: %s (%s)", code, why)
    raise translate_refusal(code)
