"""RFC 9457 problems: every error of the control socket is what, why and the next command. Pure."""

import json
from dataclasses import dataclass
from http import HTTPStatus

from lbctl.model.errors import Refused

PROBLEM_JSON = "application/problem+json"
STATUS_OF_EXIT = {1: 500, 2: 422, 3: 503, 4: 422, 5: 409, 6: 403, 7: 404}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error as the API tells it. `exit_code` is what the command line answers."""

    status: int
    code: str
    what: str
    why: str = ""
    then: str = ""
    exit_code: int = 1

    def body(self) -> bytes:
        """Return the JSON document."""
        document = {
            "type": f"about:blank#{self.code}",
            "title": self.what,
            "status": self.status,
            "detail": self.why,
            "code": self.code,
            "then": self.then,
            "exit_code": self.exit_code,
        }
        return json.dumps(document).encode()

    def message(self) -> bytes:
        """Return a whole HTTP/1.1 answer that ends the connection, for what never becomes a request."""
        body = self.body()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


def of_refused(refused: Refused) -> Problem:
    """Return the problem of a refusal."""
    return Problem(
        status=STATUS_OF_EXIT.get(refused.exit_code, 500),
        code=refused.code,
        what=refused.what,
        why=refused.why,
        then=refused.then,
        exit_code=refused.exit_code,
    )
