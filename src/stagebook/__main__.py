"""`python -m stagebook` is `stagebook`."""

import sys

from stagebook.cli.main import main

sys.exit(main())
