"""The import map of the project, read from its syntax trees: who may know whom."""

import ast
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.parsing import parsed

ROOT = Path(__file__).parents[1]
PACKAGES = ("tokenizer", "pipeline", "model", "jobs")
STAGES = frozenset(("crawl", "ingest", "extract", "filter", "dedup", "count", "pack"))
# What each package may import of ours. A model reads shards: their rows (a record), their storage, and errors.
MAY_IMPORT = {
    "tokenizer": ("tokenizer",),
    "pipeline": ("pipeline", "tokenizer"),
    "model": (
        "model",
        "tokenizer",
        "pipeline.pack.shards",
        "pipeline.atomic",
        "pipeline.places",
        "pipeline.storage",
        "pipeline.manifests",
        "pipeline.errors",
        "pipeline.records",
    ),
    "jobs": ("jobs", "model", "pipeline", "tokenizer"),
}
NETWORK = frozenset(
    ("aiohttp", "http.client", "http.server", "httpx", "requests", "smtplib", "ftplib", "urllib.request", "urllib3")
)


@dataclass(frozen=True)
class Import:
    """One import of one module, and whether it happens when the module is loaded."""

    file: Path
    line: int
    module: str
    when_loaded: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def files(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return parsed(path)


def imports(path: Path) -> Iterator[Import]:
    module = tree(path)
    at_top = {id(node) for statement in module.body for node in walk_loaded(statement)}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import in line {node.lineno}"
            names = [_full_name(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        yield from (Import(path, node.lineno, name, id(node) in at_top) for name in names)


def walk_loaded(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is loaded: not the bodies of functions, nor what only type checkers read."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk_loaded(child)


def _full_name(module: str, name: str) -> str:
    """`from pipeline import storage` imports the module pipeline.storage."""
    place = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if place.is_dir() or place.with_suffix(".py").exists() else module


def within(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_in_one_direction(package: str) -> None:
    wrong = [
        str(each)
        for path in files(package)
        for each in imports(path)
        if each.module.partition(".")[0] in (*PACKAGES, "benchmarks", "tests")
        and not within(each.module, MAY_IMPORT[package])
    ]
    assert not wrong, "\n".join(wrong)


def test_stages_do_not_know_each_other() -> None:
    wrong = []
    for stage in sorted(STAGES):
        for path in files(f"pipeline/{stage}"):
            others = [
                each
                for each in imports(path)
                if each.module.startswith("pipeline.") and each.module.split(".")[1] in STAGES - {stage}
            ]
            wrong += [str(each) for each in others]
    assert not wrong, "\n".join(wrong)


def test_what_stages_share_knows_no_stage() -> None:
    """Except the recipe, whose purpose is to put them together."""
    shared = [path for path in (ROOT / "pipeline").glob("*.py") if path.name != "corpus.py"]
    wrong = [
        str(each)
        for path in shared
        for each in imports(path)
        if each.module.startswith("pipeline.") and each.module.split(".")[1] in STAGES
    ]
    assert not wrong, "\n".join(wrong)


def test_the_network_is_in_one_place() -> None:
    """Crawling asks through fetch and its address guard; inputs on web servers have a client of their own; the demo serves
    on loopback; a cluster is asked for its state."""
    crawling, own_site = {"pipeline/crawl/fetch.py", "pipeline/crawl/guard.py"}, {"jobs/demo/server.py"}
    cluster = {"jobs/cluster/rest.py", "jobs/cluster/job_server.py"}  # an engine that the user names
    inputs = {"pipeline/web_client.py"}  # files that the user names
    allowed = crawling | inputs | own_site | cluster
    found = {
        str(path.relative_to(ROOT))
        for path in files(*PACKAGES)
        for each in imports(path)
        if within(each.module, tuple(NETWORK))
    }
    beyond = {path for path in found - allowed if not path.startswith("jobs/cluster/")}
    assert not beyond, f"the network is also used in {sorted(beyond)}"


def test_torch_stays_with_models() -> None:
    """In the jobs that make or use a model it may be imported, too; nowhere in tokenizer, and in pipeline by the classifiers that need it alone."""
    found = {
        str(path.relative_to(ROOT))
        for path in files("pipeline", "tokenizer", "jobs")
        for each in imports(path)
        if within(each.module, ("torch",))
    }
    classifiers = "pipeline/filter/sequence_classifier.py"
    assert found <= {classifiers, *(f"jobs/{name}.py" for name in ("train", "evaluate", "processes", "sizes"))}, (
        f"torch is imported in {sorted(found)}"
    )
    heavy = [
        str(each)
        for each in imports(ROOT / classifiers)
        if each.when_loaded and within(each.module, ("torch", "transformers", "tokenizers"))
    ]
    assert not heavy, "\n".join(heavy)  # whoever filters without such a model waits for none of them


def test_beam_stays_where_pipelines_are_wired() -> None:
    def may(path: Path) -> bool:
        inside = path.relative_to(ROOT)
        return inside.parts[0] == "jobs" or inside.name == "stage.py" or str(inside) == "pipeline/corpus.py"

    found = [
        str(each)
        for path in files("pipeline", "tokenizer", "model")
        if not may(path)
        for each in imports(path)
        if within(each.module, ("apache_beam",))
    ]
    assert not found, "\n".join(found)


def loaded_with(module: str) -> set[str]:
    """All modules that are loaded when `module` is, as far as ours say so."""
    found, waiting = set[str](), [module]
    while waiting:
        path = ROOT.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.exists():
            fresh = {each.module for each in imports(path) if each.when_loaded} - found
            found |= fresh
            waiting += fresh
    return found


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        # help and wrong usage,
        (("jobs.cli",), ("torch", "apache_beam", "numba", "numpy", "pyarrow", "fsspec", "tldextract")),
        # wrong settings, and a run of which everything is up to date until its report,
        (("jobs.config", "jobs.lock", "jobs.engine", "jobs.run"), ("torch", "apache_beam", "numba", "pyarrow")),
        # what runs no pipeline and no model,
        (("jobs.verify", "jobs.tokens", "jobs.export", "jobs.report", "jobs.explain"), ("torch", "apache_beam")),
        # and models without pipelines
        (("jobs.train", "jobs.evaluate", "jobs.generate"), ("apache_beam", "torch.distributed.fsdp", "matplotlib")),
        (("jobs.crawl", "jobs.ingest", "jobs.curate", "jobs.count", "jobs.pack"), ("torch", "trafilatura", "transformers")),
        (("jobs.checks", "jobs.shell", "pipeline.filter.stage"), ("torch", "transformers", "tokenizers")),
    ],
)  # fmt: skip
def test_nobody_waits_for_libraries_that_a_job_does_not_use(modules: tuple[str, ...], heavy: tuple[str, ...]) -> None:
    """Torch and Beam take seconds to import."""
    wrong = {module: [each for each in loaded_with(module) if within(each, heavy)] for module in modules}
    assert not {module: each for module, each in wrong.items() if each}


def test_packages_are_empty() -> None:
    """So that importing a record imports no Beam, and a module brings in only what it names."""
    full = [
        str(path.relative_to(ROOT))
        for path in files(*PACKAGES)
        if path.name == "__init__.py" and path.read_text("utf-8").strip()
    ]
    assert not full


def test_beam_steps_are_named_functions() -> None:
    """A lambda has no name in the plan of an engine, none in a traceback, and pickles by its byte code."""
    wrong = []
    for path in files(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("beam."):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                wrong += [f"{path.relative_to(ROOT)}:{node.lineno}" for value in given if isinstance(value, ast.Lambda)]
    assert not wrong, "\n".join(wrong)


def test_modules_do_nothing_when_they_are_imported() -> None:
    """They define: no loops, no `with`, no calls for their effect alone."""
    wrong = []
    for path in files(*PACKAGES):
        for statement in tree(path).body:
            effect = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
            if effect or isinstance(statement, (ast.For, ast.While, ast.With)):
                wrong.append(f"{path.relative_to(ROOT)}:{statement.lineno}: {ast.unparse(statement)[:80]}")
    assert not wrong, "\n".join(wrong)


def test_no_module_is_called_after_nothing() -> None:
    vague = {"utils", "common", "helpers", "base", "manager", "misc"}
    assert not [str(path.relative_to(ROOT)) for path in files(*PACKAGES) if path.stem in vague]


def test_no_path_of_this_machine_is_in_the_project() -> None:
    wrong = []
    for path in files(*PACKAGES, "tests", "benchmarks"):
        text = path.read_text("utf-8")
        wrong += [
            str(path.relative_to(ROOT))
            for root in ("/ho" + "me/", "/wo" + "rk/", "/ro" + "ot/")
            if f'"{root}' in text or f"'{root}" in text
        ]
    assert not wrong, wrong


@pytest.mark.usefixtures("made")
def test_tests_that_share_a_finished_run_are_kept_together(request: pytest.FixtureRequest) -> None:
    """What hides the groups from pytest-xdist makes everything twice, and says nothing: a version of pytest, the order of hooks."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there are groups only where tests run side by side (-n 2 --dist loadgroup)")
    assert request.node.nodeid.endswith("@runs")


def test_architecture_lists_each_module_once() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    tree_of_modules = page.split("```")[1]
    for package in PACKAGES:
        lines = re.split(rf"^{package}/ .*\n", tree_of_modules, flags=re.MULTILINE)[1].splitlines()
        entries = [line.strip() for line in itertools.takewhile(lambda line: line.startswith("  "), lines)]
        names = [name for entry in entries for name in re.split(r"  +", entry)[0].split(", ") if not name.endswith("/")]
        modules = {path.stem for path in (ROOT / package).glob("[a-z]*.py")}
        assert sorted(names) == sorted(modules), package
