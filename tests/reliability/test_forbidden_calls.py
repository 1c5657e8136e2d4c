"""Nothing that is read may run: the linter's rules refuse planted violations, and nobody has switched them off."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = {
    "import pickle": "TID251",
    "import pickle as p\np.loads(b'')": "S301",
    "from cloudpickle import loads": "TID251",
    "import marshal\nmarshal.loads(b'')": "S302",
    "import shelve": "TID251",
    "import numpy as np\nnp.load('x.npy', allow_pickle=True)": "TID251",
    "from numpy import load": "TID251",
    "import torch\ntorch.load('x.pt')": "TID251",
    "eval(input())": "S307",
    "exec(input())": "S102",
    "import yaml": "TID251",
    "import yaml as y\ny.load('a', Loader=y.FullLoader)": "S506",
    "import subprocess\nsubprocess.run(input(), shell=True)": "S602",
    "import subprocess\nsubprocess.getoutput(input())": "TID251",
    "import os\nos.system(input())": "S605",
    "import os\nos.popen(input())": "S605",
    "import asyncio\nasyncio.create_subprocess_shell(input())": "TID251",
    "import tarfile\ntarfile.open('x').extractall()": "S202",
    "from jinja2 import Environment\nEnvironment()": "S701",
}


def refused(*arguments: str, source: str | None = None) -> set[tuple[str, str]]:
    """(file, rule) of what the project's linter settings refuse."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", *arguments]
    done = subprocess.run(command, input=source, capture_output=True, text=True, cwd=ROOT, check=False)
    return {
        (Path(file).name, rule) for file, rule in re.findall(r"^(.*?):\d+:\d+: ([A-Z]+\d+) ", done.stdout, re.MULTILINE)
    }


def test_what_runs_what_it_reads_is_refused(tmp_path: Path) -> None:
    for index, source in enumerate(PLANTED):
        (tmp_path / f"planted_{index}.py").write_text(source + "\n")
    found = refused("--config", str(ROOT / "pyproject.toml"), str(tmp_path))
    missed = {s: rule for i, (s, rule) in enumerate(PLANTED.items()) if (f"planted_{i}.py", rule) not in found}
    assert not missed


@pytest.mark.parametrize("place", ["tvnjax/core/planted.py", "experiments/planted_call.py"])
def test_the_rules_hold_in_the_package_and_in_experiments(place: str) -> None:
    assert (Path(place).name, "S301") in refused(
        "--stdin-filename", place, "-", source="import pickle\npickle.loads(b'')\n"
    )
    assert not refused("--stdin-filename", place, "-", source="import json\n\nprint(json.loads('1'))\n")


def test_nobody_switched_the_rules_off() -> None:
    files = [path for folder in ("tvnjax", "experiments") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    switch = re.compile(r"#\s*(ruff:\s*)?noqa(?!:)|noqa:.*\b(S\d|TID)")
    assert not [str(path) for path in files if switch.search(path.read_text("utf-8"))]
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert all(pattern.startswith("tests/") for pattern in lint["per-file-ignores"])
