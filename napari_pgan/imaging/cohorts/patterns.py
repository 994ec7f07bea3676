"""Patterns of file paths with placeholders, as plan files use them."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"\{(?P<name>\w+)(?::(?P<regex>(?:[^{}]|\{[^{}]*\})+))?\}|(?P<folders>\*\*/)|(?P<any>\*)")


def compile_pattern(part: str, pattern: str, optional: str) -> re.Pattern[str]:
    """Return the regular expression for whole relative paths of a pattern.

    ``*`` stands for anything within a name, ``**/`` for any folders, ``{name}`` or ``{name:regex}`` for a placeholder.
    ``{subject}`` is required; `optional` names the only other placeholder allowed. Raises ValueError, with the name of
    the part, if the pattern leaves the source folder or is not valid.
    """
    literal = _PLACEHOLDER.sub("", pattern)
    if re.match(r"/|~|[A-Za-z]:", pattern) or "\\" in literal or ".." in pattern.split("/"):
        raise ValueError(f"{part}: {pattern!r} points outside the source; give a path below it, with /")
    expression, end = "", 0
    seen: set[str] = set()
    for match in _PLACEHOLDER.finditer(pattern):
        expression += re.escape(pattern[end : match.start()])
        end = match.end()
        name = match["name"]
        if match["folders"]:
            expression += "(?:.*/)?"
        elif match["any"]:
            expression += "[^/]*"
        elif name not in ("subject", optional):
            raise ValueError(f"{part}: {{{name}}} is unknown here; use {{subject}} and {{{optional}}}")
        elif name in seen:
            expression += f"(?P={name})"
        else:
            expression += f"(?P<{name}>{match['regex'] or '[^/]+?'})"
            seen.add(name)
    if "subject" not in seen:
        raise ValueError(f"{part}: {pattern!r} lacks the placeholder {{subject}}")
    try:
        return re.compile(expression + re.escape(pattern[end:]))
    except re.error as error:
        raise ValueError(f"{part}: {pattern!r} contains an invalid regular expression ({error})") from error
