"""The demo and the sandbox: a vendor's feed, both clouds and QA.tech on this machine, and a story on them."""
