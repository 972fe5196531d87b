"""The shape of the house: imports point down, names say what is inside, nothing grows too large."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import recency

ROOT = Path(recency.__file__).parent

# A part may import from the parts above it in this list, and from its own folder. Parts of one line
# do not know each other.
SPINE = [
    {"errors"},
    {"units"},
    {"client"},  # knows HTTP and errors, nothing of the rest
    {"data"},
    {"ranking"},
    {"nn"},
    {"content"},
    {"training"},
    {"evaluation"},
    {"baselines"},
    {"storage"},
    {"live"},
    {"asking", "model_folder", "recipe"},
    {"surroundings"},
    {"fitting"},
    {"recommender", "sequences"},
    {"explaining", "tuning", "ensemble"},
    {"loading"},
    {"online"},
    {"serving"},
    {"studio", "cluster", "privacy"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(SPINE) for part in parts}

NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "base", "misc"}

MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 60
# What reads better whole than split, each with the reason.
LARGER_FOR_A_REASON: dict[str, str] = {
    "recommender.py": "the public face; half of it is docstrings",
}

# Slow to load: none of them before a model, a picture or a pandas frame is asked for.
HEAVY = {
    "torch", "pandas", "pyarrow", "matplotlib", "scipy", "fastapi", "uvicorn", "implicit", "optuna",
    "tensorboard", "wandb", "mlflow", "river", "httpx", "faiss", "transformers", "model2vec",
    "huggingface_hub", "captum",
}  # fmt: skip

FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    """Name the part of the spine that a file belongs to; empty for the package's own front door."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "" if parts[0] in {"__init__", "__main__"} else parts[0]


def imported_parts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """List the parts that a file imports anywhere, functions and type checking included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "recency" and rest:
                yield node.lineno, rest.partition(".")[0]


def test_every_part_stands_on_the_spine():
    parts = {part_of(path) for path in FILES} - {""}
    assert parts <= set(LEVEL), f"not on the spine: {sorted(parts - set(LEVEL))}"


def test_imports_point_down():
    wrong = []
    for path in FILES:
        here = part_of(path)
        for line, there in imported_parts(ast.parse(path.read_text())):
            known = here in LEVEL and there in LEVEL and there != here
            if known and LEVEL[there] >= LEVEL[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports recency.{there}")
    assert not wrong, "imports that point up or sideways:\n" + "\n".join(wrong)


def test_imports_name_the_package_in_full():
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_names_say_what_is_inside():
    parts = [part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts]
    assert not set(parts) & NAMES_THAT_SAY_NOTHING


def sizes() -> dict[str, int]:
    """Measure each file and each function without its docstring, in lines.

    Keys are ``data/log.py`` and ``data/log.py:split_at``.
    """
    found = {}
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        found[name] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{name}:{node.name}"] = lines_of(node) - docstring_lines(node)
    return found


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return 0 if ast.get_docstring(function) is None else lines_of(function.body[0])


def test_nothing_grows_too_large():
    large = {
        name: lines
        for name, lines in sizes().items()
        if lines > (MOST_LINES_OF_A_FUNCTION if ":" in name else MOST_LINES_OF_A_FILE)
    }
    unexplained = {name: lines for name, lines in large.items() if name not in LARGER_FOR_A_REASON}
    assert not unexplained, f"larger than the aim: {unexplained}"


def modules_after(code: str) -> list[str]:
    """List the modules that a fresh interpreter holds after running some code."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
    )
    assert not run.returncode, run.stderr
    names: list[str] = json.loads(run.stdout.splitlines()[-1])
    return names


@pytest.mark.parametrize("module", ["recency", "recency.cli.app"])
def test_importing_loads_nothing_heavy(module):
    loaded = {name.partition(".")[0] for name in modules_after(f"import {module}")}
    assert not loaded & HEAVY


def test_help_answers_without_loading_the_library():
    code = (
        "import sys\nfrom recency.cli.app import main\nsys.argv = ['recency', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    loaded = modules_after(code)
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY | {"numpy", "polars"})
    # A count, not a time: the machine may be busy. Python, Typer and Rich alone are about 400.
    assert len(loaded) < 700


def test_all_names_exist_and_all_is_sorted():
    assert recency.__all__ == sorted(
        recency.__all__, key=lambda name: (name != "__version__", name)
    )
    for name in recency.__all__:
        assert getattr(recency, name) is not None


def test_what_types_see_is_what_runs():
    """The names imported under TYPE_CHECKING are those of ``__all__``, from the same modules."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    checked = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname or alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(recency.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(import_module(str(module)), name) is getattr(recency, name)


def test_unknown_names_are_refused_by_name():
    with pytest.raises(AttributeError, match="module 'recency' has no attribute 'Lgo'"):
        recency.Lgo  # noqa: B018
