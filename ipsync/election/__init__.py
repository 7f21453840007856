"""Which of several replicas makes the passes: the one that holds a Lease of Kubernetes (`ipsync run --leader-elect`)."""
