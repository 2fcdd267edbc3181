"""Run the command as ``python -m drugtail``."""

from drugtail.cli import main

if __name__ == "__main__":
    main()
