"""Files of other programs are read only if they are regular files."""

import os

from ipvsd.model import Exit
from tests.unit.doctor_host import (
    RUN,
)


def test_a_fifo_and_a_folder_in_place_of_a_file_do_no_harm(host):
    os.makedirs(host.root.join("etc/sysctl.d/a.conf"))
    fifo = host.root.join("etc/sysctl.d/b.conf")
    os.mkfifo(fifo)
    assert host.run()[0] == Exit.AS_WANTED
    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, f"{RUN} = 1\n".encode())
    assert host.run()[0] == Exit.AS_WANTED
    os.close(writer)
