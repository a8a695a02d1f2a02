"""`python -m jobs` is `corpusmill`."""

from jobs.cli import entry

if __name__ == "__main__":
    entry()
