"""Config files: the same as options that are typed, printed whole, refused with path and nearest key."""

import json
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.told import Begun, configured, refused, said
from tvnjax.cli import main
from tvnjax.cli.config_file import config_text, read_config_file, typed_options
from tvnjax.cli.options import parse_options
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.running.config import PRESETS
from tvnjax.running.continuing import begin, differences


def written(tmp_path, text, name="my.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_is_as_if_its_options_were_typed(capsys, tmp_path):
    file = written(
        tmp_path,
        'seed = 3\nreproducible = true\nstrategies = ["differentiable", "random"]\n'
        "[budget]\nms = 2\n[data]\nfolder = 'a b'\n[search]\nlearning-rate = 1e-3\n[search.projection]\ntop_k = 7\n"
        "[operators]\nskip = [true]\n",
    )
    typed = (
        *("--seed", 3, "--reproducible", "--strategies", "differentiable", "random", "--budget.ms", 2),
        *("--data.folder", "a b", "--search.learning-rate", "1e-3", "--search.projection.top-k", 7),
        *("--operators.skip", "True"),
    )
    assert configured(capsys, "clips", "--config", file) == configured(capsys, "clips", *typed)
    assert configured(capsys, "clips", "--config", file) != configured(capsys, "clips")


def test_json_is_the_same(capsys, tmp_path):
    values = {"preset": "clips", "budget": {"ms": 2.5}, "shapes": {"image_size": [16, 24]}, "data": {"folder": None}}
    file = written(tmp_path, json.dumps(values), "my.json")
    told = configured(capsys, "--config", file)
    assert told["budget"]["ms"] == 2.5 and told["shapes"]["image_size"] == [16, 24] and told["preset"] == "clips"


@pytest.mark.parametrize("where", ["in front", "behind"])
def test_options_beside_a_file_win(capsys, tmp_path, where):
    file = written(tmp_path, "seed = 3\nretrain_seeds = 2\n[shapes]\nimage_size = [8, 16]\n")
    typed = ["--seed", 4, "--shapes.image-size", 32]
    named = ["--config", file]
    told = configured(capsys, "quick", *(named + typed if where == "in front" else typed + named))
    assert (told["seed"], told["retrain_seeds"], told["shapes"]["image_size"]) == (4, 2, [32])


def test_what_a_file_has_wrong_may_be_put_right_beside_it(capsys, tmp_path):
    file = written(tmp_path, 'seed = "many"\n')
    assert refused(capsys, "run", "quick", "--config", file) == f"{file}: seed: 'many' is no whole number"
    assert configured(capsys, "quick", "--config", file, "--seed", 4)["seed"] == 4


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "options", [[], ["--budget.ms", "None", "--shapes.blocks.1.filters", "8", "24", "--out", "x y"]]
)
def test_what_is_printed_gives_the_same_run(preset, options, capsys, tmp_path):
    text, _ = said(capsys, "run", preset, *options, "--print-config")
    file = written(tmp_path, text)
    assert said(capsys, "run", "--config", file, "--print-config")[0] == text
    assert configured(capsys, preset, "--config", file) == configured(capsys, preset, *options)
    asked = set(vars(PRESETS[preset][1])) - {"own"}  # which Python alone can give
    assert set(tomllib.loads(text)) == {"preset"} | asked, "it is complete"


def test_a_run_is_not_begun_where_its_options_are_printed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said(capsys, "run", "quick", "--print-config", "--out", tmp_path / "run")
    assert not list(tmp_path.iterdir())


NUMBERS = st.floats(1e-6, 1e6).map(lambda value: float(f"{value:.17g}"))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ms=st.none() | NUMBERS,
    rate=NUMBERS,
    seed=st.integers(0, 2**31 - 1),
    sizes=st.lists(st.integers(1, 4096), min_size=1, max_size=4, unique=True),
    skip=st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
    folder=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(lambda t: t != "None"),
    blocks=st.integers(1, 4),
)
def test_any_values_come_back(tmp_path, ms, rate, seed, sizes, skip, folder, blocks):
    default = PRESETS["clips"][1]
    words = ["--seed", str(seed), "--budget.ms", str(ms), "--search.learning-rate", repr(rate)]
    words += ["--shapes.image-size", *map(str, sizes), "--operators.skip", *map(str, skip)]
    words += [f"--data.folder={folder}", "--shapes.num-blocks", str(blocks)]
    config = parse_options(default, words, prog="test", description="")
    file = read_config_file(written(tmp_path, config_text(config, "clips")))
    again = parse_options(default, typed_options(file, default), prog="test", description="")
    assert again == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[search]\nstesp = 3", "there is no option search.stesp (did you mean search.steps?)"),
        ("[serch]\nsteps = 3", "there is no option serch (did you mean search?)"),
        ("[search.projection]\nfinalist = 3", "search.projection.finalist (did you mean search.projection.finalists?)"),
        ("[[shapes.blocks]]\nfilter = [3]", "shapes.blocks.0.filter (did you mean shapes.blocks.0.filters?)"),
        ("steps = 3", "option steps (did you mean search.steps or proxy.steps or retrain.steps?)"),
        ("top_k = 3", "there is no option top_k (did you mean search.projection.top_k?)"),
        ("xyzzy = 3", "there is no option xyzzy"),
        ('[budget]\nms = "many"', "budget.ms: 'many' is no number"),
        ("seed = 1.5", "seed: '1.5' is no whole number"),
        ("seed = true", "seed: 'True' is no whole number"),
        ("seed = [1, 2]", "my.toml: seed is one value; got [1, 2]"),
        ("[budget]\nms = []", "budget.ms is one value; got []"),
        ("seed = 1979-05-27", "seed is a value, or a list of values, such as an option takes; got 1979-05-27"),
        ("[seed]\nx = 1", "seed is a value, or a list of values, such as an option takes; got {'x': 1}"),
        ("budget = 3", "budget is a table of options; got 3"),
        ("[shapes]\nblocks = 3", "shapes.blocks is a list of tables, one for each block, [[shapes.blocks]] in TOML"),
        ("shapes.blocks = []", "shapes.blocks is a list of tables"),
        ('runtime = "tflight"', "runtime is one of xla, litert, onnxruntime; got 'tflight'"),
        ('strategies = ["evolutoin"]', "got 'evolutoin' (did you mean 'evolution'?)"),
        ("[shapes]\nimage_size = [8]\nimage-size = [8]", "a config file names an option once; shapes.image_size is"),
        ("[shapes]\nimage_size = [inf]", "shapes.image_size"),
        ("x = ", "a config file that ends in .toml holds TOML"),
        (
            'preset = "quik"',
            "a preset is one of quick, clips, planted, tvn-gpu, tvn-tpu; got 'quik' (did you mean 'quick'?)",
        ),
        ('preset = "clips"', "starts from the preset clips; got quick"),
        ("preset = 3", "preset is the name of one; got 3"),
        ('data.type = "VideoData"', "data is of the kind VideoData, and here it is a ProceduralData"),
        ('strategies = ["a", "-b"]', "strategies lists values that do not begin with -"),
        (
            "[shapes]\nnum_blocks = [2]\n[[shapes.blocks]]\nrepeats=[1]",
            "shapes.num_blocks is at most the 1 blocks that",
        ),
        ("[shapes]\nnum_blocks = [9]", "shapes.num_blocks is at most the 3 blocks that shapes.blocks lists; got 9"),
        ("seed = -1", "seed"),
    ],
)
def test_what_a_file_has_wrong_is_named(text, says, capsys, tmp_path):
    line = refused(capsys, "run", "quick", "--config", written(tmp_path, text))
    assert says in line, line


def test_what_is_no_config_file(capsys, tmp_path):
    assert "there is no" in refused(capsys, "run", "quick", "--config", tmp_path / "no.toml")
    assert "ends in .toml or .json" in refused(capsys, "run", "quick", "--config", written(tmp_path, "", "my.yaml"))
    assert "is none" in refused(capsys, "run", "quick", "--config", written(tmp_path, "[1]", "list.json"))
    assert "holds JSON" in refused(capsys, "run", "quick", "--config", written(tmp_path, "{", "my.json"))
    file = written(tmp_path, "seed = 3")
    assert "name a preset" in refused(capsys, "run", "--config", file)
    replayed = {"command": "tvnjax replay", "argv": None, "config": {"type": "ReplayConfig", "seeds": [0]}}
    file = written(tmp_path, json.dumps(replayed), "replay.json")
    assert "kind ReplayConfig" in refused(capsys, "run", "quick", "--config", file)


WORDS = st.sampled_from(
    [
        *(
            "shapes",
            "blocks",
            "num_blocks",
            "search",
            "steps",
            "preset",
            "config",
            "argv",
            "type",
            "quick",
            "budget",
            "ms",
        ),
        *(
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "=",
            ".",
            ",",
            '"',
            "'",
            "\n",
            "#",
            "-",
            " ",
            "1",
            "true",
            "inf",
            "nan",
            "0x",
        ),
        *("None", "1979-05-27", "1e400", "\\u0000", "\x00", "\u202e", "é"),
    ]
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=60), form=st.sampled_from(["toml", "json"]))
def test_whatever_a_file_holds_it_is_options_or_one_line(text, form, tmp_path):
    file = tmp_path / f"any.{form}"
    file.write_text(text, "utf-8", errors="surrogatepass")
    try:
        words = typed_options(read_config_file(file), PRESETS["quick"][1])
    except InvalidInputError as error:
        assert "\n" not in str(error) and str(file) in str(error)
    else:
        assert all(isinstance(word, str) for word in words)


@pytest.mark.parametrize(
    "text",
    [f"seed = {'1' * 5000}", f"seed = 0x{'f' * 5000}", f"seed = {'[' * 5000}", f"{'a.' * 2000}b = 1", "seed = [[1]]"],
)
def test_what_python_itself_cannot_read_is_one_line(text, capsys, tmp_path):
    file = written(tmp_path, text)
    assert str(file) in refused(capsys, "run", "quick", "--config", file)


def test_names_that_no_terminal_shows_are_escaped(capsys, tmp_path):
    hidden = 'a\u202eb\x85c\x1bd\\e"f'
    text, _ = said(capsys, "run", "clips", f"--data.folder={hidden}", "--print-config")
    assert not {"\u202e", "\x85", "\x1b"} & set(text) and tomllib.loads(text)["data"]["folder"] == hidden
    assert "TOML holds text alone" in refused(capsys, "run", "clips", "--data.folder=a\udcff", "--print-config")


def test_a_run_keeps_the_values_and_not_the_file(tmp_path, begun):
    file = written(tmp_path, "seed = 3\nretrain_seeds = 1\n[search]\nsteps = 50\n")
    with pytest.raises(Begun):
        main(["run", "quick", "--config", str(file), "--search.steps", "60", "--out", str(tmp_path / "run")])
    ((config, argv),) = begun
    assert argv[:5] == ["quick", "--seed", "3", "--search.steps", "50"], "what is the preset's is left out"
    assert (config.seed, config.search.steps) == (3, 60)


@pytest.fixture
def interrupted(tmp_path):
    """The directory of a run that began with 70 steps and got no further."""
    out = tmp_path / "run"
    out.mkdir()
    argv = ["quick", "--search.steps", "70", "--out", str(out)]
    config = parse_options(PRESETS["quick"][1], argv[1:], prog="test", description="")
    begin(config, out, "tvnjax run", argv)
    return out


def test_a_run_goes_on_without_its_config_file(interrupted, begun):
    with pytest.raises(Begun):
        main(["run", "--resume", str(interrupted)])
    assert begun[0][0].search.steps == 70


def test_a_run_goes_on_with_a_file_that_says_the_same_alone(interrupted, begun, capsys, tmp_path):
    same = written(tmp_path, "[search]\nsteps = 70\n")
    with pytest.raises(Begun):
        main(["run", "--resume", str(interrupted), "--config", str(same)])
    assert begun[0][1] == ["quick", "--search.steps", "70", "--out", str(interrupted)]
    # 200 is the preset's own value, and still another than the run's.
    other = written(tmp_path, "[search]\nsteps = 200\n", "other.toml")
    line = refused(capsys, "run", "--resume", interrupted, "--config", other)
    assert "search.steps is 70, now 200" in line
    assert "starts from the preset clips" in refused(
        capsys, "run", "--resume", interrupted, "--config", written(tmp_path, 'preset = "clips"', "clips.toml")
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("search.precision", "bfloat16"),
        ("search.remat", True),
        ("proxy.precision", "bfloat16"),
        ("retrain.remat", True),
    ],
)
def test_a_run_does_not_go_on_in_another_precision(interrupted, begun, capsys, option, value):
    """What it began with would be read as if it had been computed so; a copy begins those stages anew and says so."""
    typed = [f"--{option}", str(value)]
    assert f"{option} is " in (line := refused(capsys, "run", "--resume", interrupted, *typed))
    assert f", now {value!r}" in line
    new = interrupted.parent / "new"
    with pytest.raises(Begun):
        main(["run", "--resume", str(interrupted), "--fork", str(new), *typed])
    assert f"with other {option}" in capsys.readouterr().err
    stage, name = option.split(".")
    assert json.loads((new / "config.json").read_text())["config"][stage][name] == value


def test_a_precision_is_one_of_two(capsys):
    for option in ("search.precision", "proxy.precision", "retrain.precision"):
        assert "float16" in refused(capsys, "run", "quick", f"--{option}", "float16", "--print-config")


def test_a_fork_differs_by_its_config_file(interrupted, begun, tmp_path, capsys):
    file, new = written(tmp_path, "[search]\nsteps = 200\n"), tmp_path / "new"
    with pytest.raises(Begun):
        main(["run", "--resume", str(interrupted), "--fork", str(new), "--config", str(file)])
    assert "with other search.steps" in capsys.readouterr().err
    kept = json.loads((new / "config.json").read_text())
    assert kept["config"]["search"]["steps"] == 200 and kept["argv"][-2:] == ["--search.steps", "200"]


def test_a_runs_config_json_gives_its_options_again(interrupted, capsys, tmp_path, begun):
    new = tmp_path / "again"
    with pytest.raises(Begun):
        main(["run", "--config", str(interrupted / "config.json"), "--out", str(new)])
    ((config, _),) = begun
    assert not differences(json.loads((interrupted / "config.json").read_text())["config"], config)
    assert config.out == new
    told = configured(capsys, "--config", interrupted / "config.json")
    assert told["out"] is None, "the directory is that run's own"
    resumed = configured(capsys, "--resume", interrupted)
    assert resumed == told and resumed["search"]["steps"] == 70


def test_the_config_of_a_run_from_python_is_taken(capsys, tmp_path):
    config = PRESETS["planted"][1]
    file = written(tmp_path, json.dumps({"argv": None, "config": jsonable(config)}), "config.json")
    assert configured(capsys, "planted", "--config", file) == configured(capsys, "planted")
    assert "name a preset" in refused(capsys, "run", "--config", file)


def test_a_profile_takes_a_file_too(capsys, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tvnjax.running.problem.space_and_classes",
        lambda config, *_: seen.append(config) or (_ for _ in ()).throw(Begun),
    )
    for named in (["quick"], []):
        with pytest.raises(Begun):
            main(["profile", *named, "--config", str(written(tmp_path, "[profile]\nunits = 35\n"))])
    assert [config.profile.units for config in seen] == [35, 35]
    assert type(seen[1].data).__name__ == "VideoData", "without a preset it is clips"
    assert "search.stesp" in refused(capsys, "profile", "--config", written(tmp_path, "[search]\nstesp = 3"))
