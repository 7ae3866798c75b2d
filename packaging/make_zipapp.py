"""Makes one file that Python runs of modules: make_zipapp.py OUTPUT MODULE...

As `python3 -m zipapp`, but the same sources give the same bytes: sorted, with one mode, and with
the time of SOURCE_DATE_EPOCH.
"""

import os
import sys
import time
import zipfile

SHEBANG = b"#!/usr/bin/env python3\n"


def main():
    """Write the file; what runs is a copy of ipvsd/__main__.py at the top."""
    output, *modules = sys.argv[1:]
    when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    sources = dict({name: name for name in modules}, **{"__main__.py": "ipvsd/__main__.py"})
    with open(output, "wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w") as archive:
            for name, source in sorted(sources.items()):
                entry = zipfile.ZipInfo(name, when)
                entry.external_attr = 0o100644 << 16
                with open(source, "rb") as module:
                    archive.writestr(entry, module.read())
    os.chmod(output, 0o755)


if __name__ == "__main__":
    main()
