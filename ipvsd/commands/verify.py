"""Proves that estimation is off: by the values everywhere, and by what the estimator does."""

import argparse
import os

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.config.choices import choices
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import Exit, Scope
from ipvsd.status import documents
from ipvsd.system import files
from ipvsd.text import printable
from ipvsd.verify import judge, steered
from ipvsd.verify.conclusion import Looked
from ipvsd.verify.judge import Judgement, WatchedNamespace
from ipvsd.verify.watch import watch as _watch

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print problems only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Watch the estimator for two periods, then compare the values with the configuration."""
    policy = about(config_files.load(options.places).policy, RUN_ESTIMATION)
    looked = Looked.HOST_BY_CHOICE if policy.scope is Scope.HOST else Looked.EVERYWHERE
    if os.geteuid() != 0 and looked is Looked.EVERYWHERE:
        looked = Looked.HOST_WITHOUT_ROOT
        policy = policy._replace(scope=Scope.HOST)  # entering the others needs root
    before, after, watch = _watch(policy, options.root)
    now = check_all(Enforcer(options.root), policy, options.root, dry=True)
    namespaces = [
        WatchedNamespace(
            result, before.get(result.namespace.identity), after.get(result.namespace.identity)
        )
        for result in documents.in_order(now.results)
    ]
    changed_ns = {one.path: files.changed_ns(one.path) for one in choices(policy)}
    if policy.steer is None:
        judgement = judge.judge(namespaces, watch, looked, changed_ns)
    else:
        judgement = steered.judge(namespaces, watch, looked is Looked.EVERYWHERE)
    if options.json:
        document = judge.document(namespaces, watch, judgement)
        output.json(dict(document, version=_VERSION, module=now.module.value))
    else:
        _print(judgement, "ON  " if policy.steer is None else "NOT ", output)
    return judgement.exit_code


def _print(judgement: Judgement, mark: str, output: Output) -> None:
    for problem in judgement.problems:
        output.always(f"{mark} {printable(problem)}")
    for note in judgement.notes:
        output.line(f"note {printable(note)}")
    for line in judgement.summary:
        output.line(line)
    output.line(printable(judgement.conclusion))
