"""`python -m dnateq` is the program dnateq."""

import os
import sys

from dnateq._program import environment, program


def main() -> None:
    """Becomes the program, with this process's arguments."""
    os.execve(program(), [str(program()), *sys.argv[1:]], environment())


if __name__ == "__main__":
    main()
