"""What `lbctl watch` asks beside the screen: no fault of any kind is silent, or written over what is shown."""

import threading
from typing import Any

from lbctl.cli.client import Client
from lbctl.cli.live.newest import Newest
from lbctl.cli.live.orders import Order
from lbctl.cli.live.watching import Asking


class Answering(Client):
    """A daemon that answers an order with something that no screen knows."""

    def __init__(self) -> None:
        """It needs no socket."""

    def post(self, path: str, body: Any) -> Any:  # type: ignore[override]
        return {"path": path}


def test_an_answer_that_cannot_be_understood_is_trouble_and_the_next_one_is_asked_for_all_the_same() -> None:
    told, answers = threading.Event(), iter([KeyError("services"), "well again"])

    def ask() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    newest = Newest("first", ask, 60.0, told.set)
    newest.hurry()
    assert told.wait(10)
    assert newest.trouble is not None
    assert (newest.value, newest.trouble.what) == ("first", "lbctl cannot show what lbctld said: KeyError('services')")
    told.clear()
    newest.hurry()
    assert told.wait(10)
    assert (newest.value, newest.trouble) == ("well again", None)
    newest.end()


def test_an_order_whose_answer_cannot_be_shown_says_so() -> None:
    told = threading.Event()
    asking = Asking(Answering(), Order("pause", "7", "shop"), told.set)
    assert told.wait(10)
    assert asking.said is not None
    assert asking.said[0].startswith("✖ lbctl cannot show what lbctld said to pause: KeyError(")
