"""How long each session stayed away at most, of those that came back. Pure."""

from collections.abc import Collection


class Absences:
    """The longest of each bucket on this page and the one before: who reads for four minutes now and then is not gone
    the next time. Pages are as long as sessions are remembered; what is older is forgotten."""

    def __init__(self) -> None:
        self._page: dict[int, int] = {}
        self._before: dict[int, int] = {}

    def ended(self, bucket: int, away_s: int) -> None:
        """Somebody came back after so long."""
        if away_s > self._page.get(bucket, 0):
            self._page[bucket] = away_s

    def leave(self, bucket: int) -> int:
        """Forget a bucket; return its longest absence, 0: it had none."""
        return max(self._page.pop(bucket, 0), self._before.pop(bucket, 0))

    def turn_page(self) -> None:
        """Begin anew; what was noted until now is known until the next time."""
        self._page, self._before = {}, self._page

    def keep(self, here: Collection[int]) -> None:
        """Forget those that are not among these."""
        self._page = {bucket: away_s for bucket, away_s in self._page.items() if bucket in here}
        self._before = {bucket: away_s for bucket, away_s in self._before.items() if bucket in here}

    def longest_s(self) -> dict[int, int]:
        """Return the longest of each bucket that came back."""
        longer = {bucket: away_s for bucket, away_s in self._page.items() if away_s > self._before.get(bucket, 0)}
        return self._before | longer
