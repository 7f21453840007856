"""The floor of many projects: a bare loop over google-cloud-compute, one client for all threads, each range looked at."""

import sys
from concurrent.futures import ThreadPoolExecutor

from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

URL, PROJECTS, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = compute_v1.FirewallsClient(credentials=AnonymousCredentials(), client_options={"api_endpoint": URL})


def project(number):
    request = compute_v1.ListFirewallsRequest(project=f"bench-{number:04d}", max_results=500)
    return sum(len(rule.source_ranges) for rule in client.list(request=request))


with ThreadPoolExecutor(THREADS) as pool:
    print(sum(pool.map(project, range(1, PROJECTS + 1))))
