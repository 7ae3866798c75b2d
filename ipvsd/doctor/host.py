"""Reads what several checks of the doctor need, each fact only once."""

import os
from typing import List, Mapping, Optional

from ipvsd.config.files import Places
from ipvsd.config.parser import parse
from ipvsd.doctor import check_ipvs_usage, check_scripts, processes
from ipvsd.doctor.check_ipvs_usage import Program
from ipvsd.doctor.file_reader import Reader
from ipvsd.doctor.file_syntax import File
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel.dialects import Dialect
from ipvsd.status.runtime_dir import RuntimeFolder
from ipvsd.system.processes import Member, member


class Host:
    """The host that is examined, or an image of one below a root."""

    def __init__(self, root: str, places: Places) -> None:
        self.root = root
        self.places = places
        self.files = Reader(root)
        self.enforcer = Enforcer(root)
        self.policy = parse([]).policy  # until the configuration has been read
        self.unseen: List[str] = []  # topics that could not be checked
        folder = RuntimeFolder(root)
        self.daemon = folder.daemon()
        self.running = True if self.daemon is not None else folder.running()  # None: unknown
        self.supported: Optional[bool] = None  # until the kernel has been examined
        self.dialect: Optional[Dialect] = None  # likewise
        self.most_services: Optional[int] = None  # in a namespace, until these have been counted
        self.has_readers = False  # until they have been looked for
        self._programs: Optional[List[Program]] = None
        self._script_files: Optional[List[File]] = None

    @property
    def is_live(self) -> bool:
        """Whether this is the running system, the only one that systemctl and journalctl show."""
        return os.path.realpath(self.root) == "/"

    def wanted(self) -> Mapping[str, str]:
        """Return the values that the configuration wants in every namespace."""
        return {setting.key: setting.wanted for setting in self.policy.settings}

    def programs(self) -> List[Program]:
        """Return the processes, with the user of those that use IPVS or read its statistics."""
        if self._programs is None:
            found = processes.programs(self.root, self.enforcer.host.identity)
            self._programs = [self._with_user(program) for program in found]
        return self._programs

    def hides_processes(self) -> bool:
        """Return whether the caller cannot see the processes of other users."""
        return processes.are_hidden(self.root)

    def script_files(self) -> List[File]:
        """Return the cron tables, boot scripts and units."""
        if self._script_files is None:
            files = self.files.matching(*check_scripts.FILES)
            units = self.files.folders(check_scripts.UNIT_FOLDERS, ".service")
            self._script_files = files + units
        return self._script_files

    def _with_user(self, program: Program) -> Program:
        tables = (check_ipvs_usage.USERS, check_ipvs_usage.READING)
        if not self.is_live or not any(
            check_ipvs_usage.known(program.name, table) for table in tables
        ):
            return program
        found: Optional[Member] = member(program.pid)
        return program if found is None else program._replace(user=found.user)
