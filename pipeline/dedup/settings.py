"""How a wrong setting is refused."""

from pipeline.errors import SettingError


def require(ok: bool, name: str, value: object, allowed: str) -> None:
    """Raises the SettingError for the setting `name` unless `ok`."""
    if not ok:
        raise SettingError(f"{name} is {value!r}; allowed is {allowed}")
