"""Asks for one page over and over from a process of its own, and prints the seconds that each answer took.

The benchmark itself has two clouds inside, which would take their turns between a question and its answer.
"""

import http.client
import sys
import time

host, port, path, number = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
for _ in range(number):
    began = time.perf_counter()
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        sys.exit(f"{path} answered {answer.status}")
    print(time.perf_counter() - began)
    time.sleep(0.01)
