"""The folders are a pipeline: each imports only from those before it, and the core needs no deep-learning framework."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tangentlens

PACKAGE = Path(tangentlens.__file__).parent
FOLDERS = ["data", "features", "kernels", "learning", "networks", "predictions", "report", "verification"]
FILES = sorted(PACKAGE.glob("*/**/*.py"))
HEAVY = ("torch", "jax", "tensorflow", "sklearn", "matplotlib")


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, as dotted names without the package; at any depth, in any `if`."""
    names = set()
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = [PACKAGE.name, *here][:-node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("tangentlens.") for name in names if name.split(".")[0] == "tangentlens"}


def test_every_folder_has_its_place():
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} <= set(FOLDERS)
    assert sorted(FOLDERS) == FOLDERS
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_folder_imports_only_from_folders_before_it(path):
    folder = path.relative_to(PACKAGE).parts[0]
    allowed = {"errors", *FOLDERS[:FOLDERS.index(folder) + 1]}
    assert {name.split(".")[0] for name in imported(path)} <= allowed


def test_the_check_sees_imports():
    assert "data.tokens.Tokens" in imported(PACKAGE / "features" / "patterns.py")
    assert {name.split(".")[0] for name in imported(PACKAGE / "__init__.py")} >= {"data", "kernels", "predictions"}


def test_errors_stand_alone():
    assert not imported(PACKAGE / "errors.py")


def test_the_core_imports_without_a_framework():
    """In a fresh process, and with the frameworks made impossible to import, learning works."""
    script = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError("refused: " + name)
sys.meta_path.insert(0, Refuse())
import tangentlens as tl
tokens = tl.tokenize(["good", "bad", "not bad"])
print(tl.learn(tl.CNN().features(tokens), ["+", "-", "+"], time=5.0).label_scores().height > 0)
print(sorted(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False,
                          cwd=PACKAGE.parent)
    assert done.stdout.split("\n")[:2] == ["True", "[]"], done.stderr
