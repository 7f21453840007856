"""QA.tech's API: its runs, test cases and addresses, typed. Nothing of it is imported unless it is asked for."""
