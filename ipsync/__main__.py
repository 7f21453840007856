"""`python -m ipsync` is the same as the `ipsync` command."""

from ipsync.cli import main

if __name__ == "__main__":
    main()
