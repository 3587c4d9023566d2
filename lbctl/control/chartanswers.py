"""What the API answers for charts, as forms. More keys may come; none will go."""

import msgspec


class RatioView(msgspec.Struct):
    """What was judged of one pool at this step. The true ratio lies within `low`..`high` with 95 % confidence; no
    decision uses that."""

    requests: int
    errors: int
    low: float
    high: float


class ChartView(msgspec.Struct):
    """One service. `errors` and `times` by pool; `errors` is empty while nothing is judged. `tolerated`: the ratio that
    the candidate may have at active's. `times`: how many requests ever, by bucket; empty where nobody tells them."""

    errors: dict[str, RatioView]
    tolerated: float | None
    times: dict[str, dict[int, int]]


class Charts(msgspec.Struct):
    """Bucket i of `times` holds those of at most `gamma` to the power of i milliseconds."""

    gamma: float
    services: dict[str, ChartView]
