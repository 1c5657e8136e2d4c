"""All that the package writes goes through ``core.atomic`` or, where a file is added to, ``core.jsonl``."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tvnjax"
ALLOWED = {
    ("core/atomic.py", "open"): "the one place where files are written",
    ("core/atomic.py", "os.replace"): "likewise",
    ("core/atomic.py", "os.link"): "likewise",
    ("core/links.py", "os.open"): "opens what is added to, links refused",
    ("core/jsonl.py", "os.write"): "adds to what core.links opened",
    ("core/lock.py", "os.write"): "likewise",
    ("core/lock.py", "os.truncate"): "likewise",
    ("core/checkpoints.py", "rename"): "sets a damaged checkpoint aside",
    ("core/stages.py", "replace"): "sets a damaged result aside",
    ("latency/table.py", "os.replace"): "sets a damaged table aside",
    ("report/figures/canvas.py", "savefig"): "into memory, or a file its caller names",
    ("export/formats.py", "write_text"): "into a temporary folder",
    ("export/tflite_worker.py", "write_bytes"): "likewise",
    ("trainers/plan_supernet.py", "replace"): "no file",
    ("trainers/param_layout.py", "replace"): "no file",
    ("spaces/tvn/relaxation/own_path.py", "replace"): "no file",
    ("core/host_arrays.py", "open"): "nowhere, for what Gloo prints",
    ("core/host_arrays.py", "os.dup2"): "likewise",
    ("cli/streams.py", "open"): "standard streams that are missing",
    ("cli/streams.py", "os.open"): "likewise",
    ("cli/streams.py", "os.dup2"): "likewise",
}
METHODS = ("write_text", "write_bytes", "savefig", "touch", "symlink_to", "hardlink_to", "rename", "tofile")
FUNCTIONS = {
    "os": ("open", "write", "truncate", "ftruncate", "replace", "rename", "link", "symlink", "dup2", "mkfifo"),
    "shutil": ("copy", "copy2", "copyfile", "copytree", "move"),
    "np": ("save", "savez", "savez_compressed", "savetxt"),
    "json": ("dump",),
    "io": ("open",),
}


def writes(source: str) -> set[str]:
    """Calls that write files, or may: by the name they are written with."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute):
            module = function.value.id if isinstance(function.value, ast.Name) else ""
            if function.attr in FUNCTIONS.get(module, ()):
                if not (function.attr == "open" and module == "os" and _reads(node)):
                    found.add(f"{module}.{function.attr}")
            elif function.attr in METHODS or (function.attr == "replace" and len(node.args) == 1 and not node.keywords):
                found.add(function.attr)
            elif function.attr == "open" and _mode(node, 0) & set("wax+"):
                found.add("open")
        elif isinstance(function, ast.Name) and function.id == "open" and _mode(node, 1) & set("wax+"):
            found.add("open")
    return found


def _mode(call: ast.Call, place: int) -> set[str]:
    """Letters of a file's mode; those of any mode where it is not spelt out."""
    given = call.args[place] if len(call.args) > place else None
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), given)
    if given is None:
        return set()
    return set(given.value) if isinstance(given, ast.Constant) and isinstance(given.value, str) else set("w")


def _reads(call: ast.Call) -> bool:
    """Whether ``os.open`` is told to read alone."""
    names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    return "O_RDONLY" in names and not names & {"O_WRONLY", "O_RDWR", "O_CREAT"}


def test_nothing_is_written_elsewhere():
    files = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    met = {(name, call) for name, source in files.items() for call in writes(source)}
    assert met - set(ALLOWED) == set(), "write with core.atomic, or core.outputs where a user named the file"
    assert set(ALLOWED) - met == set(), "nothing is allowed that nobody does"


@pytest.mark.parametrize(
    "planted",
    [
        "path.write_text('a')",
        "(folder / name).write_bytes(b'')",
        "figure.savefig(out)",
        "open(path, 'w')",
        "open(path, mode)",
        "with path.open('ab') as file: pass",
        "path.open(mode='x')",
        "io.open(path, 'w')",
        "shutil.copytree(a, b)",
        "os.replace(a, b)",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "partial.replace(path)",
        "np.save(path, array)",
        "json.dump(data, file)",
        "path.symlink_to(other)",
    ],
)
def test_planted_writes_are_found(planted):
    assert writes(planted)


@pytest.mark.parametrize(
    "harmless",
    [
        "open(path)",
        "path.open('rb')",
        "path.open(encoding='utf-8')",
        "os.open(folder, os.O_RDONLY)",
        "text.replace('a', 'b')",
        "dataclasses.replace(entry, key=1)",
        "json.dumps(data)",
    ],
)
def test_reading_is_not(harmless):
    assert not writes(harmless)
