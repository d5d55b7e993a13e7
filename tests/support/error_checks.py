"""How tests expect an error: by its code and the facts that it has to name, never by its sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from promolift.foundation.errors import PromoError


@contextmanager
def raises_code(
    code: str, *facts: str, kind: type[PromoError] = PromoError
) -> Iterator[pytest.ExceptionInfo[PromoError]]:
    """Expect a `PromoError` with this code whose sentence names each of the facts: a file, a row, a key, a value."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert error.code == code, f"expected the code {code}, got {error.code}: {error}"
    missing = [fact for fact in facts if fact not in str(error)]
    assert not missing, f"the error does not name {missing}: {error}"
