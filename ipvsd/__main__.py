"""`python3 -m ipvsd`, the same as the command `ipvsd`."""

import sys

from ipvsd.cli import main

sys.exit(main())
