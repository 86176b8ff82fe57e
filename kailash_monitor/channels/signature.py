"""Signatures of Standard Webhooks: who knows the secret can tell that a request is ours, whole and new.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from urllib.parse import quote

__all__ = ["key_of", "safe_id", "sign"]

_PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """Give the bytes to sign with: what `whsec_` is followed by, in base64, else `secret` in UTF-8.

    ValueError, which does not show the secret, where it is no base64 after all, or nothing.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64 after whsec_") from None
    if not key:
        raise ValueError("nothing after whsec_")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Give the header `webhook-signature`. `timestamp` is that of the attempt: receivers refuse old ones."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def safe_id(message_id: str) -> str:
    """Give the header `webhook-id`: the id, with what goes into no header percent-encoded, and full stops.

    Those part what is signed; an id with some could pass for another id with another time.
    """
    return quote(message_id, safe="-_~:@", errors="replace").replace(".", "%2E")
