"""How a webhook proves that it comes from us.

Headers: `X-Lbctl-Id` (the same at every attempt: drop repetitions by it), `X-Lbctl-Timestamp` (Unix seconds) and
`X-Lbctl-Signature: sha256=HEX`, the HMAC-SHA256 over `TIMESTAMP.BODY` with the shared secret. A receiver compares in
constant time and refuses timestamps more than five minutes away.
"""

import hashlib
import hmac


def headers(message_id: str, body: bytes, secret: str, timestamp_s: int) -> dict[str, str]:
    """Return the headers that go with `body`."""
    signed = hmac.new(secret.encode(), b"%d.%s" % (timestamp_s, body), hashlib.sha256).hexdigest()
    return {
        "X-Lbctl-Id": message_id,
        "X-Lbctl-Timestamp": str(timestamp_s),
        "X-Lbctl-Signature": f"sha256={signed}",
        "Content-Type": "application/json",
    }
