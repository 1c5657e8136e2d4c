"""Damage, drawn from a seed: of bytes, and of JSON that stays JSON (or nearly)."""

import copy
import json
import random
from typing import Any

_TOKENS = (
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n\n", b'"', b"\\", b",", b":", b"{", b"}"),
    *(b"[" * 40, b"[" * 5000, b'{"a":' * 3000, b"1e999", b"-0", b"NaN", b"Infinity", b"9" * 500, b"9" * 6000, b"null"),
    *(b"true", b"..", b"../" * 3, b"/etc/passwd", b"<script>alert(1)</script>", b"%s%n", b"\xff" * 64, b"\x00" * 64),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 64, 65, 2**31, 2**63, -(2**63), 10**30, 10**299, 0.0, -0.0, 0.5, 1.0, 1.5),
    *(-1e-9, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"), "", " ", "0", "nan", "relu", "std", "mean"),
    *("\x00", "\x1b[31m", "\ud800", "\N{RIGHT-TO-LEFT OVERRIDE}x", "<script>alert(1)</script>", "$x^$", "a" * 3000),
    *("../../x", "/etc/passwd", [], {}, [[]], [0], [None], ["a", "a"], {"": 0}, {"a": {"b": []}}, [1, 2, 3] * 40),
)
_RAW = (
    *("1e999", "-1e999", "9" * 301, "9" * 5000, "[" * 80 + "]" * 80, "[" * 4000 + "]" * 4000),
    *('{"a":1,"a":2}', "01", "'a'"),
)
"""What ``json.dumps`` would not write."""


def mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """One to eight small damages: bits flipped, bytes lost, repeated, put in or moved, the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((1, 2, 4, 16, 64, 256))
        match rng.randrange(8):
            case 0 if data:
                data[at - 1] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at - 1] = rng.randrange(256)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case 4:
                data[at:at] = rng.choice(_TOKENS)
            case 5:
                data[at : at + length] = rng.randbytes(length)
            case 6:
                del data[at:]
            case _:
                other = rng.randrange(len(data) + 1)
                data[at : at + length] = data[other : other + length]
    return bytes(data)


def mutate_value(rng: random.Random, value: Any) -> Any:
    """A copy of a JSON value with one to three nodes changed; a few hold text that ``to_json`` writes raw."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        nodes = _nodes(value)
        if not nodes:
            return _anything(rng)
        parent, key = rng.choice(nodes)
        match rng.randrange(10):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[rng.choice(("", "type", "nmae", "\x00", "a" * 200, str(key) + " "))] = parent.pop(key)
            case 2:
                parent[key] = copy.deepcopy(rng.choice(nodes)[0])
            case 3 if isinstance(parent, list):
                parent.insert(rng.randrange(len(parent) + 1), _anything(rng))
            case 4 if isinstance(parent, list):
                parent.extend(parent[:64])
            case 5 if isinstance(parent[key], int | float) and abs(parent[key]) < 1e200:
                parent[key] = rng.choice((-1, 2, 0.5, 1e9, 1e-9)) * parent[key]
            case _:
                parent[key] = _anything(rng)
    return value


def to_json(rng: random.Random, value: Any) -> bytes:
    """JSON of a mutated value; now and then with a token no JSON writer leaves, or damaged as bytes."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5 or None)
    for index, raw in enumerate(_RAW):
        text = text.replace(f'"raw {index}"', raw)
    content = text.encode("utf-8", errors="surrogatepass")
    return mutate_bytes(rng, content) if rng.random() < 0.15 else content


def damaged_json(rng: random.Random, value: Any) -> bytes:
    """A file that should have held ``value``: bytes damaged, values changed, or now and then sound."""
    drawn = rng.random()
    if drawn < 0.02:
        return json.dumps(value).encode()
    if drawn < 0.35:
        return mutate_bytes(rng, json.dumps(value).encode())
    return to_json(rng, mutate_value(rng, value))


def _anything(rng: random.Random) -> Any:
    if rng.random() < 0.08:
        return f"raw {rng.randrange(len(_RAW))}"
    return copy.deepcopy(rng.choice(_VALUES))


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """(parent, key) of every node below the top, deeper ones as likely as others."""
    found, level = [], [value]
    while level and len(found) < 4000:
        parent = level.pop()
        keys = list(parent) if isinstance(parent, dict) else range(len(parent)) if isinstance(parent, list) else ()
        for key in keys:
            found.append((parent, key))
            if isinstance(parent[key], dict | list):
                level.append(parent[key])
    return found
