"""What reading strangers' bytes as JSON may raise, whichever library reads them."""

import msgspec

NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)
"""Not JSON, not UTF-8, not of the form that was asked for, or nested without end."""
