"""What a driver said about its instance. Whoever tells it names the instance, so its name at the front is dropped."""

from lbctl.model.names import InstanceName


def unnamed(name: InstanceName, text: str) -> str:
    """Return the text without `name: ` at its beginning."""
    return text.removeprefix(f"{name}: ")
