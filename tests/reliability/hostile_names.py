"""Names as files, logs and annotation files may hold them, drawn from a seed."""

import random
import unicodedata

CONTROLS = [chr(code) for code in (*range(32), *range(0x7F, 0xA0))]
UNSEEN = list("\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2066\u2069\ufeff\ufffe\uffff\U000e0041")
HALVES = ["\udcff", "\udc80", "\ud800", "\udfff", "\ud83d"]
MARKS = [
    *("<script>alert(1)</script>", "<b onload='x'>", '" onmouseover="x', "&lt;", "&#x1b;", "]]>", "<!--", "-->"),
    *("[red]", "[/red]", "[link=file:///etc]", ":smile:", "\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\r", "\n", "\t"),
    *("|", "`", "```", "*", "**", "_", "__", "#", "# ", "- ", "+ ", "1. ", "> ", "---", "===", "~~", "\\", "![x](y)"),
    *("[x](javascript:y)", "<http://x>", "https://example.org", "www.example.org", "$x_1$", "$\\frac{", "$"),
    *("{{ 7 * 7 }}", "{% raw %}", "%s", "{0}", "'", '"', "../", "/", "CON", "</style>", "</title>", "&amp;"),
    *("\u65e5\u672c", "\u0627\u0644", "\U0001f642", "a\u0301\u0301"),
]


def draw_name(rng: random.Random) -> str:
    """One name: mostly short, sometimes without end."""
    parts = [
        rng.choice(rng.choice((CONTROLS, UNSEEN, HALVES, MARKS, MARKS, MARKS, ["up", "drift left", " ", "x" * 40])))
        for _ in range(rng.randint(1, 7))
    ]
    return "".join(parts) * (rng.choice((50, 2000)) if rng.random() < 0.01 else 1)


def names(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(f"names:{seed}")
    return [draw_name(rng) for _ in range(count)]


def hidden(text: str, allowed: str = "") -> list[str]:
    """What of a text a terminal or a browser might obey, or UTF-8 cannot hold; told by Unicode's own categories."""
    kept = {*allowed, "\u200c", "\u200d"}  # these two join letters of Persian and parts of emoji
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in kept]
