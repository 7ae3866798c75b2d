"""GitHub's workflow: what can be known of it without GitHub, where it has never run.

Its form is compared with the schema that SchemaStore publishes, as check-jsonschema carries it.
actionlint, which knows more, is neither in Debian nor in a package of PyPI that has it inside.
"""

import re
import subprocess
import sys

import pytest

from tests.packaging.conftest import ROOT, run

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
CHECK = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")


def test_the_schema_accepts_each_workflow_and_not_a_misspelt_one(tmp_path):
    run(*CHECK, *WORKFLOWS)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:", 1))
    done = subprocess.run([*CHECK, wrong], stdout=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 1 and "run-on" in done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_each_workflow_says_that_it_has_never_run_and_only_calls_make(workflow):
    text = workflow.read_text()
    assert text.startswith("# NEVER RUN: ")
    assert "secrets." not in text and "\npermissions:\n  contents: read\n" in text
    steps = re.findall(r"^ +- run: (.*)$", text, re.M)
    assert len(steps) == len(re.findall(r"\brun:", text))
    targets = [step.split()[1] for step in steps if step.startswith("make ")]
    assert targets and set(targets) <= set(re.findall(r"^  (\S+) ", run("make", "help"), re.M))
    rest = [step for step in steps if not step.startswith("make ")]
    assert all(step.startswith(("apt-get ", "git config ")) for step in rest)
