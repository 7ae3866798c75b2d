"""The README: its configuration example can be copied into guard.conf, and its links exist."""

import re

from ipvsd.config.files import MAIN_FILE, Places, load
from ipvsd.model import ContestPolicy
from tests.packaging.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_configuration_example_can_be_copied(tmp_path):
    section = README.partition("\n## Configuration\n")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```ini\n(.*?)```", section, re.DOTALL)
    (tmp_path / MAIN_FILE).write_text(example, encoding="utf-8")
    config = load(Places(str(tmp_path)))
    assert config.warnings == ()
    assert len(config.policy.settings) > 1 and config.policy.overrides
    assert config.policy.exclusions and config.policy.contest_policy in ContestPolicy


def test_the_files_that_the_readme_links_exist():
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link
