"""Results in JSON that are too long: cut by rows, so that what is left is JSON still, of whole rows."""

from typing import Any

import orjson

LEFT_OUT = "left_out"
MORE = "more"


def cut_json(text: str, limit: int) -> str | None:
    """An object without the last rows of its longest list, of `limit` characters at most: `left_out` says how many they
    are, and `more` that there are others. None where that is not what it is, or where not one row would be left."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    lists = {name: field for name, field in value.items() if isinstance(field, list)}
    longest = max(lists, key=lambda name: len(_text(lists[name])), default=None)
    return _cut(value, longest, lists[longest], limit) if longest is not None else None


def _cut(value: dict[str, Any], name: str, rows: list[Any], limit: int) -> str | None:
    room = limit - len(_text({**value, name: [], MORE: True, LEFT_OUT: len(rows)}))
    kept = 0
    for row in rows:
        room -= len(_text(row)) + (kept > 0)
        if room < 0:
            break
        kept += 1
    if not kept:
        return None
    return _text({**value, name: rows[:kept], MORE: True, LEFT_OUT: len(rows) - kept})


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
