from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from normscope import ShapeError, __version__, cli, explain, normalize, spec
from normscope.audit import all_rules

ROOT = Path(__file__).parents[2]
SEED = ROOT / "examples" / "seed_network_full_th.json"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["normscope", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_explain_text(run) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run("explain", "b [c]", "--shape", "2,3")
    assert (status, err) == (0, "")
    assert out.startswith('"b [c]" on (2, 3)\n')
    assert "A statistics set is all of c, for one b: 3 values." in out


@pytest.mark.parametrize(
    "shape", ["8,128,56,56", "(8, 128, 56, 56)", "[8,128,56,56]", "8 128 56 56"]
)
def test_shapes_as_people_write_them(run, shape: str) -> None:  # type: ignore[no-untyped-def]
    assert run("explain", "b c h [w]", "--shape", shape)[0] == 0


def test_explain_json_has_every_fact(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run(
        "explain",
        "BatchNormalization(mode=1)",
        "--shape",
        "any,128,56,56",
        "--axes",
        "b c h w",
        "--format",
        "json",
    )
    found = json.loads(out)
    assert status == 0
    assert found["spec"]["pattern"] == "b c h [w]"
    assert found["statistics_sets"] == {"count": None, "per_sample": 7168, "size": 56}
    assert found["contract"]["met"] is False
    assert found["sample_independent"] == {"train": True, "infer": True}


@pytest.mark.parametrize("form", ["svg", "html", "latex"])
def test_other_formats_go_to_a_file(run, tmp_path: Path, form: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"one.{form}"
    assert run("explain", "batch", "--shape", "8,5,5,4", "--format", form, "-o", str(path)) == (
        0,
        "",
        "",
    )
    text = path.read_text(encoding="utf-8")
    if form == "svg":
        ElementTree.fromstring(text)
    assert {"svg": "<svg", "html": "<!DOCTYPE html>", "latex": r"\frac"}[form] in text


def test_explain_shows_the_plan_for_a_dtype(run) -> None:  # type: ignore[no-untyped-def]
    arguments = ("explain", "[b] c [s...]", "--shape", "8,64,56,56", "--dtype", "float32")
    status, out, err = run(*arguments)
    assert (status, err) == (0, "")
    assert "    rows: keep 64, share 8, share 3136; " in out
    found = json.loads(run(*arguments, "--format", "json")[1])
    assert found["plan"]["text"] in out


def test_size_by_option(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run(
        "explain", "b (g [c])", "--size", "g=4", "--shape", "2,8", "--format", "json"
    )
    assert status == 0
    assert json.loads(out)["axes"][1]["word"] == "grouped 4"


def test_audit_ends_with_1_if_there_are_findings(run) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run("audit", str(SEED))
    assert (status, err) == (1, "")
    assert "NS103 error rank-outside-contract" in out
    assert len(out.splitlines()) < 40  # equal layers are said once: one screen


def test_audit_ends_with_0_if_there_are_none(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run("audit", str(SEED), "--ignore", "NS103", "--ignore", "keras-mode-removed")
    assert status == 0
    assert out.strip().endswith("8 normalization layers, no findings")


def test_audit_selects_families(run) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run("audit", str(SEED), "--select", "NS5", "--format", "json")[1])
    assert {finding["code"] for finding in found["findings"]} == {"NS501"}


@pytest.mark.parametrize("form", ["json", "html", "sarif", "text"])
def test_audit_formats(run, tmp_path: Path, form: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "report"
    assert run("audit", str(SEED), "--format", form, "-o", str(path)) == (1, "", "")
    text = path.read_text(encoding="utf-8")
    assert "rank-outside-contract" in text
    if form in ("json", "sarif"):
        json.loads(text)


def test_rules_are_listed_and_explained(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run("rules")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith(" ")] == [
        rule.code for rule in all_rules()
    ]
    assert "\n\nNS1 axes\n  NS101  " in out
    assert run("rules", "coupling")[1] == run("rules", "NS7")[1]
    assert run("rules", "coupling")[1].startswith("NS7 coupling\n  NS701  ")
    for code in ("NS103", "rank-outside-contract", "ns103"):
        assert "The founding case" in run("rules", code)[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["rules", "NS999"],
        ["audit", str(SEED), "--select", "NS999"],
        ["audit", str(SEED), "--ignore", "nonsense"],
        ["audit", str(SEED), "-o", "/nonexistent/folder/report"],
        ["audit", "no such file.h5"],
        ["audit", str(ROOT)],
        ["audit", str(ROOT / "pyproject.toml")],
        ["explain", "b [c]", "--shape", "2,3,4"],
        ["explain", "b (g [c])", "--size", "g", "--shape", "2,8"],
        ["explain", "b (g [c])", "--size", "g=x", "--shape", "2,8"],
        ["explain", "b (g [c])", "--size", "h=2", "--shape", "2,8"],
        ["explain", "b [c]", "--shape", "2,3", "--axes", "b"],
        ["explain", "b [c]", "--shape", "2,3", "--dtype", "complex64"],
        ["explain", "b [c]", "--shape", "any,3", "--dtype", "float32"],
        ["explain", "torch.LayerNorm(3)", "--shape", "2,3", "--size", "c=3"],
        ["warmup", "int8"],
    ],
)
def test_what_cannot_be_used_is_one_message_and_status_2(run, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("normscope: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "b [c]", "--shape", "2,x"], "--shape '2,x': 'x' is not the length of an axis"),
        (
            ["explain", "b [c]", "--shape", "99999999999999999999,3"],
            "'99999999999999999999' is too large for the length of an axis; write a length from 0",
        ),
        (["explain", "b [c]", "--shape", f"{2**48 + 1},3"], "is too large for"),
        (["explain", "b [c]", "--shape", "2,3", "--dtype", "complex64"], "complex64"),
        (["identify", "math:sqrt", "--shape", "2,3", "--axes", "b"], "shape = (2, 3)\n  write one"),
        (["identify", "math:sqrt", "--shape", "2,3", "--axes", "b b"], "shape = (2, 3)"),
        (["audit", str(ROOT)], "this is a folder that holds no model; only files of Keras 1"),
        (["audit", str(ROOT / "pyproject.toml")], "neither an HDF5 model file, as model.save()"),
    ],
)
def test_what_came_and_what_to_write_instead(run, arguments: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    status, _, err = run(*arguments)
    assert status == 2
    assert said in err
    assert "None" not in err


@pytest.mark.parametrize("open_length", ["any", "-1", "None", "?"])
def test_a_length_that_varies(run, open_length: str) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run("explain", "b [c]", "--shape", f"{open_length},3")
    assert status == 0
    assert out.startswith('"b [c]" on (any, 3)\n')


@pytest.mark.parametrize("shape", ["any,4", "-1,4", "?,4"])
@pytest.mark.parametrize("command", ["identify", "scope"])
def test_what_is_called_needs_every_length(run, command: str, shape: str) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run(command, "math:sqrt", "--shape", shape)
    assert (status, out) == (2, "")
    assert "4,4" in err  # what to write


@pytest.mark.parametrize("command", ["explain", "identify", "scope", "audit", "convert"])
def test_without_arguments_a_command_shows_how_it_is_used(run, command: str) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run(command)
    assert status == 2
    assert f"normscope {command}" in out.split("Examples")[1]


COMMANDS = ["explain", "identify", "scope", "audit", "convert", "warmup", "rules", "new-rule"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_says_what_its_exit_status_means(run, command: str) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run(command, "--help")
    assert status == 0
    said = " ".join(out.split("Exit status:")[1].split())
    assert said.startswith("0 ")
    assert "2 " in said
    assert ("1 " in said) == (command in ("identify", "scope", "audit", "convert"))


def test_there_are_no_other_commands() -> None:
    registered = [command.callback.__name__ for command in cli.app.registered_commands]
    assert [name.replace("_", "-") for name in registered] == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "model.py:Net(16)"], 'normscope identify "model.py:Net(16)"'),
        (["explain", "torch.LayerNorm(3"], "this parenthesis is open"),
        (["explain", "b [c]", "--axes", "x y z"], 'axes="x y z" names 3 axes, the shape has 2'),
        (["explain", "torch.LayerNorm(3)", "--axes", "x"], 'axes="x" names 1 axis, the shape'),
        (["explain", "model.onnx"], 'normscope scope "model.onnx"'),
        (["explain", "model.keras"], "load it in its framework"),
        (["explain", "weights.pt"], "load it in its framework"),
        (["explain", "arrays.npz"], "normalize(x, pattern)"),
        (["identify", "torch.LayerNorm(3)"], '"torch.nn:LayerNorm(3)"'),
        (["identify", "weights.npz"], "file.py:net"),
        (["identify", "model.pkl"], "file.py:net"),
        (["identify", "string:digits.__len__()"], "an object of int cannot be called"),
        (["identify", "b [c]"], 'normscope explain "b [c]"'),
        (["identify", "batch"], 'normscope explain "batch"'),
        pytest.param(
            ["identify", "model.keras"],
            "cannot be opened: No such file",
            marks=pytest.mark.framework,
        ),
        (["identify", "missing.onnx"], "there is no such file"),
        (["identify", "collections:OrderedDict"], "OrderedDict is a class"),
        (["scope", "collections:OrderedDict"], "OrderedDict is a class"),
        (["identify", "tourch.nn:LayerNorm(3)"], "did you mean torch?"),
        (["identify", "operator:add"], "--input b=4,8"),
    ],
)
def test_a_refusal_names_the_command_that_works(run, arguments: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run(*arguments, "--shape", "2,3")
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torch.LayerNorm(3", "this parenthesis is open"),
        ("model.py:Net(16)", 'normscope identify "model.py:Net(16)"'),
        ("b [c", "this bracket is never closed"),
        ("b [c]", 'normscope explain "b [c]" --shape 8,128,56,56'),
    ],
)
def test_without_a_shape_the_text_is_looked_at_first(run, text: str, said: str) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run("explain", text)
    assert (status, out) == (2, "")
    assert said in err


def test_an_input_file_that_is_missing_is_named_once(run) -> None:  # type: ignore[no-untyped-def]
    status, _, err = run("scope", "math:sqrt", "--input", "nothing.npy")
    assert status == 2
    assert err.count("nothing.npy") == 1


def test_a_further_input_is_held_fixed(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run("identify", "operator:mul", "--shape", "2,3", "--input", "2,3")
    assert status == 1
    assert "each output depends on the input at its own place only" in out


def test_a_file_says_what_it_has(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.py"
    path.write_text("class Net:\n    pass\ndef helper(x):\n    return x\n_hidden = 1\n")
    for wanted in (str(path), f"{path}:Nett()"):
        status, _, err = run("identify", wanted, "--shape", "2,3")
        assert status == 2
        assert "Net() and helper" in err
        assert "_hidden" not in err


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("NS1O1", "NS101"),
        ("ns1o2", "NS102"),
        ("101", "NS101"),
        ("redundant-bais", "redundant-bias"),
    ],
)
def test_a_rule_that_is_nearly_one(run, wrong: str, meant: str) -> None:  # type: ignore[no-untyped-def]
    assert f"did you mean {meant}?" in run("rules", wrong)[2]


def test_a_missing_file_is_named_once(run) -> None:  # type: ignore[no-untyped-def]
    status, _, err = run("audit", "nofile.h5")
    assert (status, err) == (
        2,
        "normscope: nofile.h5: cannot be opened: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("torch", ["identify", "torch.nn:LayerNorm(3)", "--shape", "2,3"]),
        ("keras", ["identify", "keras.layers:LayerNormalization()", "--shape", "2,3"]),
        ("flax", ["scope", "flax.nnx:LayerNorm(3)", "--shape", "2,3"]),
    ],
)
def test_a_missing_package_names_what_installs_it(module: str, arguments: list[str]) -> None:
    blocked = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {arguments!r}"
    script = f"{blocked}; from normscope.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"pip install {module}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["layers.keras", "layers.jax", "keras1"])
def test_a_package_whose_framework_is_missing(name: str) -> None:
    script = (
        "import sys; sys.modules.update(keras=None, jax=None, flax=None)\n"
        "try:\n"
        f"    from normscope.{name} import {'Dense' if name == 'keras1' else 'Norm'}\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("MissingPackageError")
    assert "pip install" in done.stdout


def test_a_module_beside_the_user_is_found(tmp_path: Path) -> None:
    """The script of an installed package does not look into the working directory by itself."""
    (tmp_path / "beside_me.py").write_text("def layer(x):\n    return x - x.mean()\n")
    script = Path(sys.executable).with_name("normscope")
    command = [script, "identify", "beside_me:layer", "--shape", "2,3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("layer on (b=2, d1=3)")


@pytest.mark.parametrize(("pattern", "shape"), [("b [c]", (2, 0)), ("b [c h]", (2, 3, 0))])
@pytest.mark.parametrize("form", ["text", "json"])
def test_empty_statistics_sets_are_refused_as_normalize_does(  # type: ignore[no-untyped-def]
    run, pattern: str, shape: tuple[int, ...], form: str
) -> None:
    text = ",".join(map(str, shape))
    status, out, err = run("explain", pattern, "--shape", text, "--format", form)
    with pytest.raises(ShapeError) as refused:
        normalize(np.zeros(shape, np.float32), pattern)
    assert (status, out, err) == (2, "", f"normscope: {refused.value}\n")


@pytest.mark.parametrize("shape", ["0,8", "any,8", "2,any", "any,any"])
def test_an_empty_or_open_axis_that_is_kept_is_explained(run, shape: str) -> None:  # type: ignore[no-untyped-def]
    assert run("explain", "b [c]", "--shape", shape)[0] == 0


@pytest.mark.parametrize("shape", ["any,0", "any,any,0"])
def test_sets_that_are_empty_at_any_length_are_refused(run, shape: str) -> None:  # type: ignore[no-untyped-def]
    status, _, err = run("explain", "b [...]", "--shape", shape)
    assert status == 2
    assert "holds no value here" in err


def test_version(run) -> None:  # type: ignore[no-untyped-def]
    assert run("--version") == (0, f"normscope {__version__}\n", "")
    assert "--version" in run("--help")[1]


FULL = Path("/dev/full")  # every write to it fails, as on a disk without space


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "b [c]", "--shape", "2,3"],
        ["explain", "b [c h w]", "--shape", "8,32,7,7", "--format", "html"],
        ["audit", str(SEED)],
        ["rules"],
        ["--version"],
    ],
)
def test_an_output_that_is_full_is_one_message(arguments: list[str], unbuffered: str) -> None:
    with FULL.open("w") as full:
        done = _subprocess(arguments, full, unbuffered)
    problem = "standard output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (2, f"normscope: {problem}\n")


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_the_help_too() -> None:
    with FULL.open("w") as full:
        done = _subprocess(["explain", "--help"], full)
    assert done.returncode == 2
    assert done.stderr == "normscope: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("arguments", [["rules"], ["explain", "b [c]", "--shape", "2,3"]])
def test_an_output_that_is_closed_is_one_message(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "normscope", *arguments]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    wanted = "normscope: standard output is closed: open it, or name a file with --output\n"
    assert (done.returncode, done.stderr) == (2, wanted)


def test_explain_refuses_sets_too_small_for_ddof() -> None:
    with pytest.raises(ShapeError, match="ddof=1 divides by 0"):
        explain(spec("b [c]", ddof=1), shape=(3, 1))


@pytest.mark.parametrize("arguments", [["rules"], ["--help"], ["audit", str(SEED)]])
def test_a_closed_pipe_is_quiet(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert _subprocess(arguments, writer).stderr == ""
    finally:
        os.close(writer)


def _subprocess(  # type: ignore[no-untyped-def]
    arguments: list[str], stdout, unbuffered: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "normscope", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )


@pytest.mark.parametrize("command", ["explain", "audit", "rules"])
def test_help_teaches_by_example(run, command: str) -> None:  # type: ignore[no-untyped-def]
    out = run(command, "--help")[1]
    assert f"normscope {command}" in out.split("Examples")[1]


def test_the_first_answer_is_quick() -> None:
    """A limit against a framework imported by accident, far above the usual 0.3 s."""
    script = Path(sys.executable).with_name("normscope")
    best = min(_processor_time(script) for _ in range(3))
    assert best < 2


def _processor_time(script: Path) -> float:
    """Seconds that the command works: other work on the machine hardly stretches them."""
    before = os.times()
    subprocess.run([script, "explain", "b [c]", "--shape", "2,3"], check=True, capture_output=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "normscope", "explain", "b [c]", "--shape", "2,3"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.startswith('"b [c]"')
