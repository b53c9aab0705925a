"""`python -m soteirad`."""

from soteirad.cli import main

if __name__ == "__main__":
    main()
