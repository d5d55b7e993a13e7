"""Single sign-on to the console by OpenID Connect."""

from promolift.foundation.extension import Extension

EXTENSION = Extension(
    "sso",
    sign_in=("promolift.extensions.sso.oidc:configured_provider",),
)
