"""The interface `store`, and how what was learned is told."""

from componentize_py_types import Err
from wit_world.imports import store
from wit_world.imports.types import Outcome, Outcome_Reject, Problem


def learned(message: str, details: list[tuple[str, str]]) -> Outcome:
    """What was learned, as a refusal."""
    return Outcome_Reject(Problem("PROBE", message, "", details))


def read(word: str, collection: str = "-", *rest: str) -> Outcome:
    """`get COLLECTION ID`, `get-many COLLECTION ID…`, `find COLLECTION INDEX KEY AFTER LIMIT`,
    `count COLLECTION INDEX KEY LIMIT`."""
    try:
        match word:
            case "get":
                body = store.get(some(collection), rest[0])
                return learned("none", []) if body is None else learned("some", [(rest[0], body)])
            case "get-many":
                bodies = store.get_many(some(collection), list(rest))
                return learned("many", [(id, "none" if body is None else body) for id, body in zip(rest, bodies)])
            case "find":
                index, sought, after, limit = rest
                rows = store.find(some(collection), index, key(sought), some(after), int(limit))
                return learned("rows", [(row.id, row.body) for row in rows])
            case "count":
                index, sought, limit = rest
                return learned(str(store.count(some(collection), index, key(sought), int(limit))), [])
            case _:
                return learned("no such word", [])
    except Err as error:
        match error.value:
            case store.Error_NotGranted():
                return learned("not-granted", [])
            case store.Error_NoSuchCollection():
                return learned("no-such-collection", [])
            case store.Error_NoSuchIndex():
                return learned("no-such-index", [])
            case store.Error_OverLimit():
                return learned("over-limit", [])
            case other:
                return learned("other", [("text", other.value)])


def some(word: str) -> str | None:
    return None if word == "-" else word


def key(word: str) -> store.Key:
    """`null`, `integer:5`, `real:0.5` or `text:a`."""
    kind, _, value = word.partition(":")
    match kind:
        case "integer":
            return store.Key_Integer(int(value))
        case "real":
            return store.Key_Real(float(value))
        case "text":
            return store.Key_Text(value)
        case _:
            return store.Key_Null()
