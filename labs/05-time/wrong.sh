# missing: is 0 s ahead of the host's
unshare --time --monotonic 864000 --fork bash -c 'echo ready; sleep 1000'
