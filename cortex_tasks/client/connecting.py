"""Why no connection came about, told from what lies beneath the error of the HTTP client."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator

from .errors import CannotConnect, TlsFailed

BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)  # which say nothing
PASSING = "tlsv1 alert internal error"  # what a proxy says while it has no certificate yet
NO_TLS = "wrong version number"


def cannot_connect(url: str, error: Exception) -> CannotConnect:
    """Give the error that says why there is no connection; its cause is what says so."""
    for cause in _beneath(error):
        match cause:
            case ssl.SSLCertVerificationError(verify_message=reason):
                refused = TlsFailed(
                    f"the certificate of {url} is refused ({reason.rstrip('.')}); if an authority "
                    "of your own has signed it, name that one's file in SSL_CERT_FILE"
                )
                return _because_of(cause, refused)
            case ssl.SSLError() if not isinstance(cause, BROKEN_OFF):
                reason = _reason(cause)
                failed = f"TLS with {url} failed ({reason})"
                if reason == PASSING:
                    return _because_of(cause, CannotConnect(failed))
                if reason == NO_TLS:
                    failed += "; if plain HTTP is spoken there, the URL begins with http://"
                return _because_of(cause, TlsFailed(failed))
            case OSError(errno=errno.EMFILE | errno.ENFILE, strerror=reason):
                return _because_of(cause, CannotConnect(f"no connection to {url}: {reason}"))
            case _:
                pass
    return CannotConnect(f"no server at {url}")


def _reason(failure: ssl.SSLError) -> str:
    """Give OpenSSL's name of the reason (WRONG_VERSION_NUMBER), where it has one, as words."""
    name: str | None = getattr(failure, "reason", None)
    return name.replace("_", " ").lower() if name else str(failure)


def _because_of(cause: BaseException, failure: CannotConnect) -> CannotConnect:
    failure.__cause__ = cause
    return failure


def _beneath(error: BaseException | None) -> Iterator[BaseException]:
    """Give the error and those that it came from; on trio a group of them holds the last.

    httpcore2 hides one (`from None`). A context that is not hidden is no cause: who asks may do so
    while it handles an error of its own.
    """
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _beneath(one)
        hidden = error.__context__ if error.__suppress_context__ else None
        error = error.__cause__ or hidden
